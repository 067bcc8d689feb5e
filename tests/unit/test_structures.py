from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from builders import LABELS, batch, sample, tasks
from mtpsl.structures import Batch, Losses, Sample, TargetSpec, masked_mean

SPECS = {task.name: task.target_spec for task in tasks()}


@pytest.mark.parametrize("kind", LABELS)
def test_labelled_says_which_images_have_a_valid_pixel(kind: str) -> None:
    seen = batch(LABELS[kind])
    for name in SPECS:
        assert seen.labelled(name).tolist() == [name in names for names in LABELS[kind]]


def test_a_labelled_image_whose_pixels_are_all_invalid_counts_as_unlabelled() -> None:
    one = sample()
    one.valid["depth"][:] = False
    assert not Batch.collate([one], SPECS).labelled("depth").any()


@pytest.mark.parametrize("kind", LABELS)
def test_collate_fills_absent_labels_with_zeros_that_are_not_valid(kind: str) -> None:
    seen = batch(LABELS[kind], holes=False)
    assert seen.targets.keys() == seen.valid.keys() == SPECS.keys()
    for row, names in enumerate(LABELS[kind]):
        full = sample(seed=row)
        assert torch.equal(seen.images[row], full.image)
        for name, spec in SPECS.items():
            assert seen.targets[name].dtype == spec.dtype
            if name in names:
                assert torch.equal(seen.targets[name][row], full.targets[name])
                assert seen.valid[name][row].all()
            else:
                assert not seen.targets[name][row].any()
                assert not seen.valid[name][row].any()


def test_collate_copies_so_that_samples_stay_as_they_are() -> None:
    one = sample()
    seen = Batch.collate([one], SPECS)
    seen.targets["depth"].zero_()
    seen.images.zero_()
    assert one.targets["depth"].all()
    assert one.image.any()


def test_a_label_of_a_task_that_the_run_does_not_have_is_left_out() -> None:
    seen = Batch.collate([sample()], {"depth": SPECS["depth"]})
    assert [*seen.targets] == ["depth"]


def test_keep_drops_the_other_labels_from_targets_and_masks() -> None:
    one = sample().with_labels_of(["depth"])
    assert [*one.targets] == [*one.valid] == ["depth"]
    assert [*sample().with_labels_of([]).targets] == []


def test_collate_needs_a_sample() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        Batch.collate([], SPECS)


def test_collate_names_the_image_of_another_size() -> None:
    with pytest.raises(ValueError, match=r"small: image should have shape \(3, 32, 64\).*not \(3, 16, 64\)"):
        Batch.collate([sample("big"), sample("small", (16, 64))], SPECS)


def with_entry(targets: dict | None = None, valid: dict | None = None) -> Sample:
    """A sample with some labels or masks replaced; the first entry stays right, as type checkers look only there."""
    one = sample("bad")
    masks = {name: mask for name, mask in {**one.valid, **(valid or {})}.items() if mask is not None}
    return Sample(one.key, one.image, {**one.targets, **(targets or {})}, masks)


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (with_entry({"depth": torch.zeros(32, 64)}), r"bad: depth should have shape \(1, 32, 64\), not \(32, 64\)"),
        (with_entry({"normals": torch.zeros(3, 16, 64)}), r"bad: normals should have shape .*not \(3, 16, 64\)"),
        (with_entry(valid={"depth": torch.ones(16, 64) > 0}), r"bad: valid\['depth'\] should be bool .*\(16, 64\)"),
        (with_entry(valid={"depth": torch.ones(32, 64)}), r"bad: valid\['depth'\] should be bool .*torch.float32"),
        (with_entry(valid={"depth": None}), r"bad: valid\['depth'\] should be bool .*missing"),
    ],
)
def test_collate_names_the_sample_and_the_entry_that_is_wrong(one: Sample, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Batch.collate([sample(), one], SPECS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keys": ("a",)}, "keys should name 2 images, not 1"),
        ({"targets": {}}, "targets and valid should name the same tasks"),
        ({"depth": torch.zeros(2, 1, 32, 60)}, r"targets\['depth'\] should have shape"),
        ({"depth": torch.zeros(3, 1, 32, 64)}, r"targets\['depth'\] should have shape"),
        ({"depth": torch.zeros(2, 1, 1, 32, 64)}, r"targets\['depth'\] should have shape"),
        ({"mask": torch.ones(2, 32, 64)}, r"valid\['depth'\] should be bool"),
        ({"mask": torch.ones(2, 16, 64) > 0}, r"valid\['depth'\] should be bool of shape \(2, 32, 64\)"),
    ],
)
def test_a_batch_checks_every_entry(changes: dict, message: str) -> None:
    whole = batch([("depth",), ("depth",)])
    changes = dict(changes)
    if "depth" in changes:
        changes = {"targets": {**whole.targets, "depth": changes["depth"]}}
    if "mask" in changes:
        changes = {"valid": {**whole.valid, "depth": changes["mask"]}}
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(whole, **changes)


def test_a_batch_checks_its_images_where_shapes_in_signatures_are_not_checked() -> None:
    gray = SimpleNamespace(keys=("a",), images=torch.zeros(1, 1, 4, 4), targets={}, valid={})
    with pytest.raises(ValueError, match=r"images should have shape \(b, 3, h, w\), not \(1, 1, 4, 4\)"):
        Batch.__post_init__(gray)  # type: ignore[arg-type]


def test_a_batch_moves_with_all_its_tensors() -> None:
    moved = batch(LABELS["all labelled"]).to("meta")
    tensors = [moved.images, *moved.targets.values(), *moved.valid.values()]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert len(moved) == 3


def test_the_shape_of_a_label_has_a_channel_axis_only_where_there_are_channels() -> None:
    assert TargetSpec(0, torch.long).shape(4, 5) == (4, 5)
    assert TargetSpec(1, torch.float32).shape(4, 5) == (1, 4, 5)


def test_the_total_is_the_sum_of_all_terms_and_lets_gradients_through() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    total = Losses({"depth": 3 * x, "normals": x.square()}, {"normals->depth": 5 * x}).total()
    total.backward()
    assert total.item() == 20
    assert x.grad == 3 + 4 + 5


def test_masked_mean_divides_by_what_was_counted() -> None:
    x = torch.tensor([[[1.0, 2.0], [6.0, float("nan")]], [[float("inf")] * 2] * 2]).requires_grad_()
    valid = torch.tensor([[[True, True], [True, False]], [[False] * 2] * 2])
    mean = masked_mean(x, valid)
    assert mean.tolist() == [3.0, 0.0]
    mean.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, valid / torch.tensor([3.0, 1.0]).view(2, 1, 1))
