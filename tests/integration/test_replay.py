"""A loss that is not finite stops the run at that step, which `mtpsl replay` repeats."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from command import write_dataset

from builders import batch, tasks
from mtpsl.cli import main
from mtpsl.errors import UserError
from mtpsl.networks import SegNet
from mtpsl.objectives import Supervised
from mtpsl.training.failure import Step, StopAtNonFinite
from mtpsl.training.module import TrainingModule
from mtpsl.training.replay import not_finite, replay, wrong_terms
from mtpsl.training.run_folder import RunFolder
from mtpsl.training.settings import TrainingSettings

FAST = [
    *("--network", "segnet", "--network.width", "0.125", "--training.epochs", "2", "--training.batch_size", "2"),
    *("--training.sheets", "0", "--training.report", "false", "--training.accelerator", "cpu", "--quiet"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module", params=["supervised", "cross_task"])
def stopped(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run whose third step has (in the first, rates begin at zero) a loss that is not finite, and what it said."""
    out = tmp_path_factory.mktemp("run") / "run"
    words = ["--objective", request.param, "--training.lr", "1e30", "--training.clip", "null", *FAST]
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("mtpsl.cli.fail", lambda message: said.append(message) or 2)
        assert main(["train", "--data.root", str(data), "--data.regime", "one", *words, "--out", str(out)]) == 2
    return out, said[0]


def test_the_run_says_which_step_and_which_images(stopped: tuple[Path, str]) -> None:
    out, said = stopped
    assert said.startswith("epoch 1, step 3: loss/")
    content = torch.load(out / "failure.pt", weights_only=True)
    assert (content["epoch"], content["step"]) == (0, 2)
    assert f"images {', '.join(content['batch']['keys'])}: `mtpsl replay {out}`" in said
    assert len(content["batch"]["keys"]) == 2
    assert not (out / "checkpoints" / "last.ckpt").exists()


def test_the_step_is_repeated_to_the_bit(stopped: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = stopped
    found = replay(RunFolder(out))
    assert found.same
    assert (found.epoch, found.step) == (1, 3)
    assert set(found.losses) == {"segmentation", "depth", "normals"}
    assert any(name.startswith(("the prediction", "the loss")) for name in found.wrong)
    assert not any(name.startswith("weights") for name in found.wrong)
    assert main(["replay", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "epoch 1, step 3: losses by image" in printed
    assert "not finite: the " in printed
    assert "not to the bit" not in printed


def test_another_attempt_forgets_the_failure(stopped: tuple[Path, str], data: Path, tmp_path: Path) -> None:
    out, _ = stopped
    config = out / "config.yaml"
    config.write_text(config.read_text().replace("lr: 1.0e+30", "lr: 0.0001"))
    before = (out / "failure.pt").read_bytes()
    assert main(["train", "--resume", str(out), "--quiet"]) == 0
    assert not (out / "failure.pt").exists()
    (out / "failure.pt").write_bytes(before)  # for the other tests


@pytest.mark.parametrize("spoiled", [False, True])
def test_a_gpu_is_looked_at_later_and_weights_that_are_spoiled_are_left_out(spoiled: bool, tmp_path: Path) -> None:
    some = tasks()
    network = SegNet({task.name: task.out_channels for task in some}, width=0.01)
    module = TrainingModule(network, Supervised(some, network), some, None, TrainingSettings())
    watch, waited = StopAtNonFinite(RunFolder(tmp_path)), []
    for index, finite in enumerate([True, False, True, True]):
        data = batch([("depth",), ("depth",)], (32, 32))
        event = SimpleNamespace(synchronize=lambda index=index: waited.append(index))
        terms = {"depth": torch.tensor(1.0 if finite else float("nan"))}
        state = torch.get_rng_state()
        watch._steps.append(Step(0, index, data, state, 0.0, terms, torch.tensor(finite), event))
        if spoiled and index == 3:
            next(network.parameters()).data.fill_(float("nan"))
        if index < 3:
            watch._look(module, True, 2)
    assert waited == [0]  # two are still under way
    with pytest.raises(UserError, match=r"epoch 1, step 2: loss/depth is nan; images "):
        watch._look(module, True, 2)
    content = torch.load(tmp_path / "failure.pt", weights_only=True)
    assert content["step"] == 1
    assert bool(content["state_dict"]) != spoiled


def test_on_the_cpu_spoiled_weights_are_kept_and_the_step_before_is_named(tmp_path: Path) -> None:
    some = tasks()
    network = SegNet({task.name: task.out_channels for task in some}, width=0.01)
    next(network.parameters()).data.fill_(float("nan"))
    module = TrainingModule(network, Supervised(some, network), some, None, TrainingSettings())
    watch = StopAtNonFinite(RunFolder(tmp_path))
    watch._before = ("a", "b")
    terms = {"depth": torch.tensor(float("nan"))}
    data = batch([("depth",)], (32, 32))
    watch._steps.append(Step(0, 1, data, torch.get_rng_state(), 0.0, terms, torch.tensor(False)))
    with pytest.raises(UserError, match=r"weights are not finite either: the step before .* \(images a, b\)"):
        watch._look(module, True, 0)
    assert torch.load(tmp_path / "failure.pt", weights_only=True)["state_dict"]


def test_what_is_not_finite_is_named_in_the_order_of_the_step() -> None:
    data = batch([("depth",), ("depth",)], (8, 8))
    data.images[1, 0, 0, 0] = float("nan")
    data.targets["depth"][0, 0, 0, 0] = float("inf")
    data.targets["depth"][1, 0, 0, 0] = float("inf")
    data.valid["depth"][1, 0, 0] = False  # nothing that counts
    predictions = {"depth": torch.tensor([1.0, float("nan")]).view(2, 1, 1, 1).expand(2, 1, 8, 8)}
    network = torch.nn.Linear(1, 1)
    network.weight.data.fill_(float("nan"))
    a, b = data.keys
    assert not_finite(network, data, predictions) == [
        "weights of weight",
        f"the label depth of {a}",
        f"the image {b}",
        f"the prediction depth of {b}",
    ]
    losses = {"depth": [float("inf"), None]}
    assert wrong_terms(losses, data.keys, {"depth": float("nan"), "other": 1.0}) == [
        f"the loss of depth of {a}",
        "the term depth",
    ]


def test_a_run_that_did_not_stop_so_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data.root", str(data), *FAST, "--training.epochs", "1", "--out", str(tmp_path / "r")]) == 0
    capsys.readouterr()
    assert main(["replay", str(tmp_path / "r")]) == 2
    assert "has no failure.pt: it has not stopped" in capsys.readouterr().err
    (tmp_path / "r" / "failure.pt").write_bytes(b"no")
    assert main(["replay", str(tmp_path / "r")]) == 2
    assert "failure.pt: damaged or foreign" in capsys.readouterr().err
