"""A batch of one small image is refused where a batch norm would have a single value per channel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from builders import tasks
from folder_sets import write_folder_set
from mtpsl.cli import main
from mtpsl.errors import UserError
from mtpsl.networks import MultiTaskNetwork
from mtpsl.training.build import build_network
from mtpsl.training.config import parse_config
from mtpsl.training.settings import TrainingSettings
from mtpsl.training.smallest_batch import check_smallest_batch

ONE = TrainingSettings(batch_size=1)


def network(*words: str) -> MultiTaskNetwork:
    return build_network(parse_config(["--network", *words], {}), tasks())


def test_the_network_is_left_as_it_is_and_so_is_the_generator() -> None:
    some = network("resnet_aspp", "--network.encoder", "test_resnet", "--network.head_channels", "8")
    before = {name: x.clone() for name, x in some.state_dict().items()}
    state = torch.get_rng_state()
    check_smallest_batch(some, (64, 64), 2, ONE)  # one pixel in the pyramid's pooling, which knows what to do
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(x, before[name]) for name, x in some.state_dict().items())


def test_only_batches_of_one_pixel_are_refused() -> None:
    some = network("encoder_decoder", "--network.encoder", "resnet18")
    two, rest = TrainingSettings(batch_size=2), TrainingSettings(batch_size=2, drop_last=False)
    for size, images, training in (((64, 64), 2, ONE), ((32, 32), 4, rest), ((32, 32), 3, two)):
        check_smallest_batch(some, size, images, training)
    with pytest.raises(UserError, match=r"^a batch with one image of 32x32 .* another --training.batch_size \(now 1\)"):
        check_smallest_batch(some, (32, 32), 4, ONE)
    for images, training in ((3, rest), (1, two), (2, TrainingSettings(batch_size=2, devices=2))):
        with pytest.raises(UserError, match=r"^the last batch of an epoch with one image of 32x32"):
            check_smallest_batch(some, (32, 32), images, training)


def test_it_is_found_before_a_folder_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_folder_set(tmp_path / "set", ["segmentation"], splits={"train": 1, "val": 1}, size=(32, 32))
    words = ["train", "--data.root", str(root), "--network", "encoder_decoder", "--objective", "supervised", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "run"), "--training.accelerator", "cpu"]) == 2
    assert "the last batch of an epoch with one image of 32x32" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
