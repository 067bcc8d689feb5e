"""Which maps pairs of tasks are compared at, and how: `mapping.level` and `mapping.center`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from builders import batch, make_objective, tasks
from mtpsl.networks import EncoderDecoder
from mtpsl.objectives import CrossTaskConsistency
from mtpsl.objectives.distance import centered, cosine_distance
from mtpsl.structures import Output

LABELS = [("segmentation",), ("depth", "normals")]


def make(**options: object) -> tuple[EncoderDecoder, CrossTaskConsistency]:
    torch.manual_seed(0)
    some = tasks()
    channels = {task.name: task.out_channels for task in some}
    network = EncoderDecoder(channels, encoder="resnet18", decoder_channels=8).eval()
    options = {"views": 1, "width": 0.125, **options}
    return network, make_objective(CrossTaskConsistency, some, network, **options).eval()


@pytest.mark.parametrize(("level", "place", "channels"), [(4, 1, 64), (8, 2, 128), (32, 4, 512), (None, 4, 512)])
def test_pairs_are_compared_at_the_map_of_that_level(level: int | None, place: int, channels: int) -> None:
    network, objective = make(level=level, regularizer=1.0)
    data = batch(LABELS, size=(64, 96))
    output = network(data.images)
    pairs, share = objective.choose_pairs(data)
    torch.manual_seed(1)  # predictions of segmentation are sampled
    source, target = objective.map_pairs(output.predictions, data, pairs)
    assert source.shape == target.shape == (len(pairs), *output.features[place].shape[1:])
    assert source.shape[1] == channels
    image = output.features[place][[pair.image for pair in pairs]]
    distances = [cosine_distance(a, b) for a, b in ((source, target), (source, image), (target, image))]
    by_hand = (sum(distances) * share).sum() / len(data)
    torch.manual_seed(1)
    torch.testing.assert_close(sum(objective(network, data).auxiliary.values()), by_hand)


def test_features_of_another_level_are_refused() -> None:
    network, objective = make(level=8)
    data = batch(LABELS, size=(64, 96))
    output = network(data.images)
    with pytest.raises(ValueError, match=r"output\.features\[-3\] with 128 channels, not a map with 512"):
        objective.consistency(output.predictions, output.features[-1], data)


def test_without_their_means_maps_agree_by_what_differs_from_place_to_place() -> None:
    x = torch.rand(3, 8, 5, 7)
    moved = x + 10 * torch.rand(3, 8, 1, 1)
    torch.testing.assert_close(cosine_distance(centered(x), centered(moved)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(centered(x).mean((-2, -1)), torch.zeros(3, 8), atol=1e-6, rtol=0)
    assert (cosine_distance(x, torch.rand(3, 8, 5, 7)) < 0.4).all()  # all positive: near each other whatever they show
    assert (cosine_distance(centered(x), centered(torch.rand(3, 8, 5, 7))) > 0.5).all()


def test_centered_maps_of_predictions_labels_and_images_are_compared() -> None:
    network, objective = make(level=8, center=True, regularizer=1.0)
    data = batch(LABELS, size=(64, 96))
    output = network(data.images)
    pairs, share = objective.choose_pairs(data)
    objective.center = False
    torch.manual_seed(1)  # predictions of segmentation are sampled
    source, target = (centered(x) for x in objective.map_pairs(output.predictions, data, pairs))
    objective.center = True
    image = centered(output.features[2])[[pair.image for pair in pairs]]
    distances = [cosine_distance(a, b) for a, b in ((source, target), (source, image), (target, image))]
    by_hand = (sum(distances) * share).sum() / len(data)
    torch.manual_seed(1)
    torch.testing.assert_close(sum(objective(network, data).auxiliary.values()), by_hand)


def test_a_level_that_the_network_lacks_names_those_it_has() -> None:
    with pytest.raises(ValueError, match=r"mapping.level should be one of 2, 4, 8, 16, 32: .*EncoderDecoder.*, not 64"):
        make(level=64)


def test_a_network_that_says_but_its_last_map_has_that_level_alone() -> None:
    class Own(nn.Module):
        stride, feature_channels = 4, 8

        def forward(self, images: Tensor) -> Output:
            raise NotImplementedError

    with pytest.raises(ValueError, match=r"mapping.level should be one of 4: .*Own"):
        make_objective(CrossTaskConsistency, tasks(), Own(), level=8)
    assert make_objective(CrossTaskConsistency, tasks(), Own(), level=4).channels == 8
