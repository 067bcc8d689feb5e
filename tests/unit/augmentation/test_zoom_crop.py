"""Augmentation: agreement with a plain loop over crops, what must not change or leak, and random numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from builders import LABELS, batch, tasks
from mtpsl.augmentation.zoom_crop import Augmentation
from mtpsl.structures import Batch
from mtpsl.tasks import Depth, Normals, Segmentation, Task


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def reference(
    seen: Batch, row: int, some: list[Task], crop: tuple[int, int, int, int], scale: float, flip: bool
) -> Batch:
    """One image of a batch by crops and `interpolate`; `crop` is top, left, height and width."""
    top, left, tall, wide = crop
    size = seen.images.shape[-2:]

    def resized(x: Tensor, mode: str) -> Tensor:
        cut = x[row, ..., top : top + tall, left : left + wide].reshape(1, -1, tall, wide)
        # Nearest in float32, whose rounding is part of the rule; bilinear in float64, whose is not.
        if mode == "bilinear":
            out = F.interpolate(cut.double(), size, mode=mode, align_corners=True)
        else:
            out = F.interpolate(cut.float(), size, mode=mode)
        out = out.flip(-1) if flip else out
        return out.view(1, *x.shape[1:]).to(x.dtype)

    targets, valid = {}, {}
    for task in some:
        target, mask = seen.targets[task.name], seen.valid[task.name]
        valid[task.name] = resized(mask, "nearest")
        if task.name == "normals":
            target = resized(torch.where(mask[:, None], target, 0), "bilinear")
            length = target.norm(dim=1, keepdim=True)
            valid["normals"] &= length[:, 0] > 1e-6
            target = target / length.clamp(min=1e-12)
            target[:, 0] *= -1 if flip else 1
        else:
            target = resized(target, "nearest")
        targets[task.name] = target / scale if task.name == "depth" else target
    return Batch(seen.keys[row : row + 1], resized(seen.images, "bilinear"), targets, valid)


@pytest.mark.parametrize("size", [(32, 64), (31, 45), (7, 9), (1, 6), (1, 1), (96, 128)])
@pytest.mark.parametrize("kind", LABELS)
def test_every_image_equals_its_crop_resized_alone(kind: str, size: tuple[int, int]) -> None:
    seen = batch(LABELS[kind], size, edges=True)
    some = tasks(edges=True)
    height, width = size
    place = torch.arange(height * width).view(1, 1, *size).expand(len(seen), 1, *size)
    marked = Batch(seen.keys, seen.images, {**seen.targets, "place": place.float()},
                   {**seen.valid, "place": torch.ones(len(seen), *size, dtype=torch.bool)})  # fmt: skip
    for seed, scale in enumerate((1.0, 1.2, 1.5)):
        augment = Augmentation([*some, Place("place")], scales=(scale,))
        view = augment(marked, generator(seed))
        tall, wide = max(1, int(height / scale)), max(1, int(width / scale))
        for row in range(len(seen)):
            ends = view.targets["place"][row, 0, 0, [0, -1]].long()
            first, flip = int(ends.min()), bool(ends[0] > ends[1])
            if width == 1:
                flip = bool(augment._draw(len(seen), *size, generator(seed))[3][row])
            expected = reference(seen, row, some, (first // width, first % width, tall, wide), scale, flip)
            torch.testing.assert_close(view.images[row], expected.images[0], atol=2e-6, rtol=0)
            for task in some:
                mask = expected.valid[task.name][0]
                assert torch.equal(view.valid[task.name][row], mask)
                got, want = view.targets[task.name][row][..., mask], expected.targets[task.name][0][..., mask]
                torch.testing.assert_close(got, want, atol=2e-5, rtol=0)


class Place(Depth):
    """A label that magnifying does not change: it tells which crop was drawn."""

    def zoom(self, target: Tensor, scale: Tensor) -> Tensor:
        return target


@pytest.mark.parametrize("scale", [1.2, 1.3, 1.5, 2.0])
def test_nearest_pixels_are_those_of_interpolate_at_every_size(scale: float) -> None:
    for size in range(1, 400, 3):
        length = max(1, int(size / scale))
        line = torch.arange(size)
        seen = Batch(("a",), torch.zeros(1, 3, 1, size), {"segmentation": line.expand(1, 1, -1)},
                     {"segmentation": torch.ones(1, 1, size, dtype=torch.bool)})  # fmt: skip
        found = Augmentation([Segmentation(num_classes=400)], scales=(scale,), flip=False)(seen, generator(size))
        got = found.targets["segmentation"][0, 0]
        want = F.interpolate(torch.arange(length).float().view(1, 1, 1, -1), (1, size))[0, 0, 0].long()
        assert torch.equal(got - got[0], want)


def test_scale_one_without_flip_changes_nothing() -> None:
    seen = batch(LABELS["one label each"])
    for view in (
        Augmentation(tasks(), scales=(1.0,), flip=False)(seen),
        Augmentation(tasks(), scales=(1,)).crop_view(seen),
    ):
        assert torch.equal(view.images, seen.images)
        for name, target in seen.targets.items():
            assert torch.equal(view.targets[name], target)
            assert torch.equal(view.valid[name], seen.valid[name])


def test_an_unchanged_image_beside_a_zoomed_one_keeps_its_exact_values() -> None:
    seen = batch(LABELS["all labelled"] * 8)
    view = Augmentation(tasks())(seen, generator())
    alike = [row for row in range(len(seen)) if torch.equal(view.images[row], seen.images[row])]
    assert 0 < len(alike) < len(seen)
    for row in alike:
        for name, target in seen.targets.items():
            mask = seen.valid[name][row]
            assert torch.equal(view.valid[name][row], mask)
            assert torch.equal(view.targets[name][row][..., mask], target[row][..., mask])


def test_a_mirrored_image_of_scale_one_is_reversed_exactly() -> None:
    seen = batch(LABELS["all labelled"] * 4)
    view = Augmentation(tasks(), scales=(1.0,))(seen, generator(5))
    flipped = [row for row in range(len(seen)) if torch.equal(view.images[row], seen.images[row].flip(-1))]
    assert 0 < len(flipped) < len(seen)
    for row in flipped:
        mask = seen.valid["normals"][row].flip(-1)
        assert torch.equal(view.valid["normals"][row], mask)
        want = seen.targets["normals"][row].flip(-1) * torch.tensor([-1.0, 1, 1]).view(3, 1, 1)
        assert torch.equal(view.targets["normals"][row][:, mask], want[:, mask])
        assert torch.equal(view.targets["depth"][row], seen.targets["depth"][row].flip(-1))
        assert torch.equal(view.targets["segmentation"][row], seen.targets["segmentation"][row].flip(-1))


def test_values_that_are_not_valid_do_not_leak_into_valid_ones() -> None:
    clean = batch(LABELS["all labelled"] * 2)
    poisoned = {}
    for name, target in clean.targets.items():
        mask = clean.valid[name] if target.ndim == 3 else clean.valid[name][:, None]
        poisoned[name] = target.masked_fill(~mask, 255 if target.dtype == torch.long else float("nan"))
    dirty = Batch(clean.keys, clean.images, poisoned, clean.valid)
    one, two = (Augmentation(tasks())(seen, generator(7)) for seen in (clean, dirty))
    for name in clean.targets:
        mask = one.valid[name]
        assert torch.equal(two.valid[name], mask)
        for row in range(len(clean)):
            assert torch.equal(one.targets[name][row][..., mask[row]], two.targets[name][row][..., mask[row]])


def test_valid_normals_are_unit_vectors_and_opposite_ones_cancel_out() -> None:
    seen = batch(LABELS["all labelled"] * 2)
    view = Augmentation(tasks())(seen, generator(9))
    lengths = view.targets["normals"].norm(dim=1)[view.valid["normals"]]
    torch.testing.assert_close(lengths, torch.ones_like(lengths))

    # Three of five columns become five: the second and the fourth lie half way between opposite vectors.
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])
    opposite = torch.stack((signs, torch.zeros(5), torch.zeros(5)))[None, :, None].expand(1, 3, 4, 5)
    seen = Batch(("a",), torch.zeros(1, 3, 4, 5), {"normals": opposite}, {"normals": torch.ones(1, 4, 5) > 0})
    view = Augmentation([Normals()], scales=(1.5,), flip=False)(seen, generator())
    assert torch.equal(view.valid["normals"], torch.tensor([True, False, True, False, True]).expand(1, 4, 5))
    assert view.targets["normals"].isfinite().all()


@pytest.mark.parametrize("kind", LABELS)
def test_hidden_labels_stay_hidden(kind: str) -> None:
    seen = batch(LABELS[kind])
    for seed in range(3):
        view = Augmentation(tasks())(seen, generator(seed))
        assert view.keys == seen.keys
        for name in seen.targets:
            assert not (view.labelled(name) & ~seen.labelled(name)).any()
            assert view.targets[name].dtype == seen.targets[name].dtype
            assert view.targets[name].shape == seen.targets[name].shape
            if not seen.labelled(name).any():
                assert not view.targets[name].any()


def test_the_generator_decides_everything() -> None:
    seen = batch(LABELS["all labelled"])
    augment = Augmentation(tasks())
    before = torch.get_rng_state()
    one, two, other = augment(seen, generator(1)), augment(seen, generator(1)), augment(seen, generator(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.images, two.images)
    assert all(torch.equal(one.targets[name], two.targets[name]) for name in seen.targets)
    assert not torch.equal(one.images, other.images)

    with torch.random.fork_rng():
        torch.manual_seed(1)
        assert torch.equal(augment(seen).images, one.images)


def test_scales_places_and_flips_are_drawn_evenly() -> None:
    augment = Augmentation([])
    scale, crop, corner, flip = augment._draw(6000, 96, 128, generator())
    for wanted, size in zip((1.0, 1.2, 1.5), ((96, 128), (80, 106), (64, 85)), strict=True):
        chosen = scale == wanted
        assert abs(float(chosen.double().mean()) - 1 / 3) < 0.03
        assert (crop[chosen] == torch.tensor(size)).all()
        assert corner[chosen].amin(0).tolist() == [0, 0]
        assert corner[chosen].amax(0).tolist() == [96 - size[0], 128 - size[1]]
    assert abs(float(flip.double().mean()) - 0.5) < 0.03


def test_the_batch_handed_over_is_not_changed() -> None:
    seen = batch(LABELS["all labelled"])
    copies = {name: x.clone() for name, x in seen.targets.items()}
    masks = {name: x.clone() for name, x in seen.valid.items()}
    images = seen.images.clone()
    Augmentation(tasks())(seen, generator())
    assert torch.equal(seen.images, images)
    assert all(torch.equal(seen.targets[name], x) for name, x in copies.items())
    assert all(torch.equal(seen.valid[name], x) for name, x in masks.items())


def test_a_batch_in_channels_last_gives_the_same_values() -> None:
    seen = batch(LABELS["all labelled"])
    other = Batch(seen.keys, seen.images.to(memory_format=torch.channels_last), seen.targets, seen.valid)
    augment = Augmentation(tasks())
    assert torch.equal(augment(seen, generator()).images, augment(other, generator()).images)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_an_accelerator_nothing_waits_and_the_values_are_those_of_the_cpu() -> None:
    seen = batch(LABELS["all labelled"])
    augment = Augmentation(tasks())
    there = seen.to("cuda")
    augment(there, generator())
    torch.cuda.set_sync_debug_mode("error")
    try:
        view = augment(there, generator(3))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    plain = augment(seen, generator(3))
    torch.testing.assert_close(view.images.cpu(), plain.images)
    for name in seen.targets:
        assert torch.equal(view.valid[name].cpu(), plain.valid[name])
        torch.testing.assert_close(view.targets[name].cpu(), plain.targets[name])


@pytest.mark.parametrize("scales", [(), (0.5,), (1.0, float("nan")), (1.0, float("inf"))])
def test_scales_that_cannot_be_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="scales should be one or more numbers of at least 1"):
        Augmentation(tasks(), scales=scales)


def test_a_task_that_it_was_not_told_of_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'depth'.*none of the tasks \['segmentation'\]"):
        Augmentation(tasks()[:1])(batch(LABELS["one image"]))
