"""The teacher's weights, the labels that it gives, and what the network learns of them."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from builders import batch, make_objective, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import MeanTeacher
from mtpsl.objectives.average import AverageNetwork
from mtpsl.structures import Batch, Output
from mtpsl.tasks import Depth, Normals, Segmentation

SIZE = (8, 16)


def filled(network: nn.Module, value: float) -> nn.Module:
    with torch.no_grad():
        for x in [*network.parameters(), *network.buffers()]:
            x.fill_(value)
    return network


def test_the_average_is_a_copy_at_first_and_follows_more_slowly_with_every_update() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    average = AverageNetwork(network, decay=0.15)
    values = []
    for value in (8.0, 18.0, 28.0, 28.0):
        average.update(filled(network, value))
        one = {float(x) for x in average.state_dict().values() if x.is_floating_point()}
        assert len(one) == 1  # weights and the norm's statistics alike
        values.append(one.pop())
    # leaves 0, 1/10, then 2/11 and 3/12, which are more than 0.15
    assert values == pytest.approx([8.0, 17.0, 28 - 0.15 * 11, 28 - 0.15**2 * 11], rel=1e-6)
    assert average.network[1].num_batches_tracked == 28
    assert not [*average.parameters()]
    assert not average.train().network.training


def test_an_average_follows_the_network_that_it_was_made_of() -> None:
    average = AverageNetwork(nn.Conv2d(1, 1, 1), decay=0.9)
    with pytest.raises(ValueError, match="the one that the objective was made for"):
        average.update(nn.Conv2d(1, 2, 1))


def test_a_network_in_channels_last_has_a_teacher_in_channels_last() -> None:
    network = nn.Conv2d(8, 8, 3)
    average = AverageNetwork(network, decay=0.9)
    network.to(memory_format=torch.channels_last)
    average.update(network)
    assert average.network.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(average.network.weight, network.weight.detach())


class Fixed(nn.Module):
    """Predicts constants for every image; a weight scales depth."""

    stride, feature_channels = 1, 1

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.images: list[Tensor] = []

    def forward(self, images: Tensor) -> Output:
        self.images.append(images)
        shape = (len(images), 1, *images.shape[-2:])
        depth = self.scale * images[:, :1] * 4
        classes = torch.tensor([2.0, 0.0, -1.0]).view(1, 3, 1, 1) * torch.ones(shape)
        return Output({"segmentation": classes * self.scale, "depth": depth}, [])


SOME = [Segmentation(num_classes=3), Depth()]


def data(labels: list[str]) -> Batch:
    """Images whose left half is bright; `labels[i]` is the one task with a label, or ''."""
    images = torch.full((len(labels), 3, *SIZE), 0.25)
    images[..., : SIZE[1] // 2] = 0.75
    valid = {
        task.name: torch.tensor([name == task.name for name in labels])[:, None, None].expand(-1, *SIZE).clone()
        for task in SOME
    }
    targets = {"segmentation": torch.zeros(len(labels), *SIZE).long(), "depth": torch.ones(len(labels), 1, *SIZE)}
    return Batch(tuple(map(str, range(len(labels)))), images, targets, valid)


def make(**options: object) -> tuple[Fixed, MeanTeacher]:
    network = Fixed()
    plain = {"jitter": 0.0, "scales": (1.0,), "flip": False, "start": 0.0}
    if options.get("views") == 1:
        plain = {"jitter": 0.0, "start": 0.0}
    objective = make_objective(MeanTeacher, SOME, network, **{**plain, **options})
    objective.set_progress(0.5)
    return network, objective


def test_only_what_an_image_lacks_is_taught_and_only_where_the_teacher_is_sure() -> None:
    _, objective = make(probability=0.8, class_share=0.0)
    taught = objective.pseudo_labels(data(["depth", "segmentation", ""]))
    # softmax of (2, 0, -1): 0.844; every other test of certainty is in test_pseudo_labels.py
    assert [bool(x.all()) for x in taught.valid["segmentation"]] == [True, False, True]
    assert not taught.valid["segmentation"][1].any()
    assert not taught.valid["depth"][0].any()
    assert taught.valid["depth"][1:].all()
    assert not make(probability=0.85, class_share=0.0)[1].pseudo_labels(data([""])).valid["segmentation"].any()


def test_the_term_by_hand() -> None:
    network, objective = make(weight=3.0, probability=0.8, task_weights={"depth": 2.0})
    objective.teacher.update(network)
    with torch.no_grad():
        network.scale.fill_(2.0)
    objective.train(False)  # the teacher stays where it is
    objective.certainty.histogram += 1  # every certainty was as frequent: from 0.2 on depth counts, and it is 1
    terms = objective(network, data(["depth", "segmentation", ""])).auxiliary
    # the teacher says depth 3 and 1 on the two halves, the network 6 and 2: L1 is 2, twice for its weight
    # unlabelled: segmentation of the first and third image, depth of the second and third, which lacks two; N = 3
    cross_entropy = -torch.tensor([4.0, 0.0, -2.0]).log_softmax(0)[0].item()
    assert terms["teacher/depth"].item() == pytest.approx(3 * 2 * 2 * (1 + 1 / 2) / 3, rel=1e-5)
    assert terms["teacher/segmentation"].item() == pytest.approx(3 * cross_entropy * (1 + 1 / 2) / 3, rel=1e-5)
    summed = make(weight=3.0, reduction="sum")[1]
    summed.load_state_dict(objective.state_dict())
    assert summed.eval()(network, data([""])).auxiliary["teacher/depth"].item() == pytest.approx(3 * 2, rel=1e-5)


def test_pixels_that_do_not_count_lower_the_loss_of_their_image() -> None:
    _, objective = make()
    seen = data([""])
    taught = objective.pseudo_labels(seen)
    half = torch.arange(SIZE[1]) < SIZE[1] // 2
    halved = replace(taught, valid={name: mask & half for name, mask in taught.valid.items()})
    predictions = {"segmentation": torch.zeros(1, 3, *SIZE), "depth": taught.targets["depth"] + 1}
    whole, part = (objective.consistency(predictions, x, seen, 1.0) for x in (taught, halved))
    assert part["teacher/depth"].item() == pytest.approx(whole["teacher/depth"].item() / 2)
    assert whole["teacher/depth"].item() == pytest.approx(1 / 2)  # one of two tasks that the image lacks


def test_labels_follow_the_view_as_the_image_does() -> None:
    network, objective = make(scales=(2.0,), flip=True)
    torch.manual_seed(1)
    objective(network, data(["segmentation"] * 8))
    seen = network.images[-1]
    assert len(seen) == 16
    torch.manual_seed(1)
    view = objective.second_view(objective.pseudo_labels(data(["segmentation"] * 8)))
    assert torch.equal(seen[8:], view.images)
    # the teacher says four times the brightness, 3 and 1; what is magnified twice is half as far
    difference = (view.targets["depth"] - view.images[:, :1] * 2).abs()
    assert difference.median() < 0.1
    assert difference.max() < 0.6  # where the image is interpolated and the label is not
    assert {bool(x[0, 0, 0] > x[0, 0, -1]) for x in view.images} == {True, False}  # as they are, and mirrored


def test_no_gradient_reaches_the_teacher_and_the_supervised_part_is_that_of_plain_training() -> None:
    network, objective = make(weight=5.0, ramp=0.5)
    objective.set_progress(0.25)
    losses = objective(network, data(["segmentation", "depth"]))
    losses.total().backward()
    assert network.scale.grad is not None
    assert all(x.grad is None and not x.requires_grad for x in objective.state_dict().values())
    alone = make(weight=0.0)[1](network, data(["segmentation", "depth"]))
    assert [*alone.auxiliary] == [*losses.auxiliary]
    assert not any(alone.auxiliary.values())
    torch.testing.assert_close(alone.tasks, losses.tasks)
    assert objective.current_weight() == pytest.approx(2.5)


def test_before_its_start_a_step_is_that_of_plain_training() -> None:
    network, objective = make(start=0.6)
    objective(network, data(["segmentation"]))
    assert [len(x) for x in network.images] == [1]
    assert objective.teacher.updates == 1
    assert not objective.certainty.histogram.any()
    objective.set_progress(0.6)
    objective(network, data(["segmentation"]))
    assert [len(x) for x in network.images] == [1, 2]


def test_with_weight_zero_the_teacher_says_nothing_and_the_view_is_seen() -> None:
    network, objective = make(weight=0.0, jitter=1.0, scales=(2.0,))
    called: list[bool] = []
    objective.teacher.network.register_forward_hook(lambda *_: called.append(True))
    objective(network, data(["segmentation"]))
    assert len(network.images[-1]) == 2
    assert not torch.equal(*network.images[-1])
    assert not called


def test_with_one_view_labels_and_teacher_are_learned_from_it() -> None:
    network, objective = make(views=1, jitter=1.0)
    torch.manual_seed(0)
    seen = data(["segmentation", "depth"])
    objective(network, seen)
    (images,) = network.images
    assert images.shape == seen.images.shape
    assert not torch.equal(images, seen.images)
    for options in ({"scales": (2.0,)}, {"flip": False}):
        with pytest.raises(ValueError, match="belong to views 2"):
            make_objective(MeanTeacher, SOME, network, views=1, **options)


def test_a_state_that_is_loaded_goes_on_bit_for_bit() -> None:
    torch.manual_seed(0)
    some = tasks()
    network = SegNet({task.name: task.out_channels for task in some}, width=0.01)
    objective = make_objective(MeanTeacher, some, network, start=0.0)
    seen = batch([("segmentation",), ("depth",)], (32, 32))
    optimizer = torch.optim.SGD(network.parameters(), 0.1)

    def steps(network: nn.Module, objective: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
        found = []
        for seed in range(2):
            torch.manual_seed(seed)
            objective.set_progress(0.5)
            optimizer.zero_grad()
            losses = objective(network, seen)
            losses.total().backward()
            optimizer.step()
            found += [x.detach() for x in losses.auxiliary.values()]
        return [*found, *(x.clone() for x in objective.state_dict().values())]

    steps(network, objective, optimizer)
    other = copy.deepcopy(network)
    again = make_objective(MeanTeacher, some, other, start=0.0)
    again.load_state_dict(copy.deepcopy(objective.state_dict()))
    assert again.teacher.updates == 2
    one = steps(network, objective, optimizer)
    two = steps(other, again, torch.optim.SGD(other.parameters(), 0.1))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert again.teacher.updates == 4


def test_normals_of_a_network_that_is_mixed_are_learned_in_bfloat16() -> None:
    some = [Depth(), Normals()]
    network = SegNet({task.name: task.out_channels for task in some}, width=0.01)
    objective = make_objective(MeanTeacher, some, network, start=0.0)
    objective.set_progress(0.5)
    seen = batch([("depth",), ("normals",)], (32, 32))
    names = [task.name for task in some]
    seen = Batch(seen.keys, seen.images, *({n: x[n] for n in names} for x in (seen.targets, seen.valid)))
    with torch.autocast("cpu", torch.bfloat16):
        losses = objective(network, seen)
    losses.total().backward()
    assert all(x.dtype == torch.float32 and x > 0 for x in losses.auxiliary.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
