"""Which pairs are planned, drawn within a budget, and found related."""

from __future__ import annotations

import pytest
import torch

from builders import LABELS, batch, make_objective, tasks
from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency
from mtpsl.objectives.mapping.pairs import Pair, draw_pairs, plan_pairs
from mtpsl.objectives.relations import PairRelations, pair_with_other_images


def test_labelled_sources_add_the_pairs_with_two_labels() -> None:
    labelled = torch.tensor([[True, True, False], [True, True, True], [False, False, False]])
    some = set(plan_pairs(labelled))
    assert some == {(0, 2, 0), (0, 2, 1)}
    everything = {(1, s, t) for s in range(3) for t in range(3) if s != t}
    assert set(plan_pairs(labelled, labelled_sources=True)) == some | {(0, 0, 1), (0, 1, 0)} | everything


def test_unrelated_pairs_are_not_planned() -> None:
    related = torch.ones(3, 3, dtype=torch.bool)
    related[1, 0] = False
    assert set(plan_pairs(torch.tensor([[True, False, False]]), related=related)) == {(0, 2, 0)}


def test_a_budget_holds_for_every_image_and_keeps_the_expected_sum() -> None:
    torch.manual_seed(0)
    pairs = plan_pairs(torch.tensor([[True, True, False, False, False], [False, False, True, False, False]]))
    value = torch.rand(5, 5)
    sums = torch.zeros(2)
    for _ in range(2000):
        places, stands_for = draw_pairs(pairs, 3)
        drawn = [pairs[place] for place in places]
        assert len(drawn) == len(set(drawn)) == 6
        assert sum(pair.image for pair in drawn) == 3
        for pair, factor in zip(drawn, stands_for, strict=True):
            sums[pair.image] += value[pair.source, pair.target] * factor
    expected = torch.zeros(2)
    for pair in pairs:
        expected[pair.image] += value[pair.source, pair.target]
    torch.testing.assert_close(sums / 2000, expected, rtol=0.03, atol=0)


def test_other_images_share_the_pair_but_not_the_image() -> None:
    pairs = plan_pairs(torch.tensor([[True, False, False]] * 3 + [[False, True, False]]))
    partners = pair_with_other_images(pairs)
    assert len(partners) == 6  # the fourth image's pairs are nobody else's
    assert all(pairs[one].image != pairs[other].image for one, other in partners.items())
    assert all(pairs[one][1:] == pairs[other][1:] for one, other in partners.items())
    assert sorted(partners.values()) == sorted(partners)


def two_images() -> list[Pair]:
    return [Pair(0, 0, 1), Pair(1, 0, 1)]


def test_the_gain_by_hand() -> None:
    """The image's own label at an angle of 60 degrees, the other's at 90: 1 - (1 - 0.5) / (1 - 0) = 0.5."""
    source = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).view(2, 3, 1, 1)
    own = torch.tensor([[0.5, 0, 0.75**0.5], [0, 0.5, 0.75**0.5]]).view(2, 3, 1, 1)
    relations = PairRelations(3, threshold=0.4)
    relations.update(two_images(), source, own, torch.tensor([0.5, 0.5]))
    assert relations.gain()[0, 1].item() == pytest.approx(0.5, abs=1e-6)
    assert relations.gain().isnan().sum() == 8


def test_a_pair_that_is_seen_no_more_keeps_its_gain() -> None:
    relations = PairRelations(3, threshold=0.4, decay=1e-9)
    relations.matched[1, 2], relations.mismatched[1, 2] = 0.2, 0.8
    maps = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(10):
        relations.update(two_images(), maps, maps, torch.tensor([0.0, 0.0]))
    assert relations.gain()[1, 2].item() == pytest.approx(0.75)


def test_what_is_related_in_one_direction_only_is_dropped_in_both() -> None:
    relations = PairRelations(3, threshold=0.25)
    relations.matched.copy_(torch.tensor([[0, 0.1, 0.1], [0.1, 0, 0.1], [0.1, 0.9, 0]]))
    relations.mismatched.fill_(1.0)
    relations.decide()
    assert relations.related is not None
    assert relations.related.tolist() == [[True, True, True], [True, True, False], [True, False, True]]


def test_nothing_is_decided_before_a_relation_is_clear() -> None:
    relations = PairRelations(3, threshold=0.5)
    relations.matched.copy_(torch.tensor([[0, 0.8, 0.9], [0.8, 0, 1.0], [0.9, 1.0, 0]]))
    relations.mismatched.fill_(1.0)
    relations.decide()
    assert relations.related is None
    relations.matched.copy_(torch.tensor([[0, 0.2, 0.9], [0.2, 0, 0.5], [0.9, 0.5, 0]]))
    relations.decide()
    assert relations.related is not None
    assert relations.related[0].tolist() == [True, True, False]
    assert relations.related[1, 2]


def test_a_decision_survives_a_checkpoint() -> None:
    relations, other = PairRelations(3, threshold=0.5), PairRelations(3, threshold=0.5)
    other.load_state_dict(relations.state_dict())
    assert other.related is None
    relations.matched.copy_(torch.tensor([[0, 0.1, 0.9], [0.1, 0, 0.9], [0.9, 0.9, 0]]))
    relations.mismatched.fill_(1.0)
    relations.decide()
    other.load_state_dict(relations.state_dict())
    assert other.related is not None
    assert other.related.tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def make(**options: object) -> tuple[SegNet, CrossTaskConsistency]:
    torch.manual_seed(0)
    network = SegNet({task.name: task.out_channels for task in tasks()}, width=0.125)
    return network, make_objective(CrossTaskConsistency, tasks(), network, width=0.125, **{"views": 1, **options})


def terms(objective: CrossTaskConsistency, network: SegNet, labels: list[tuple[str, ...]]) -> dict[str, float]:
    torch.manual_seed(1)
    return {name: float(term.detach()) for name, term in objective(network, batch(labels)).auxiliary.items()}


def test_all_labels_have_terms_only_with_labelled_pairs() -> None:
    network, objective = make()
    assert not any(terms(objective, network, LABELS["all labelled"]).values())
    network, objective = make(labelled_pairs=True)
    assert all(value > 0 for value in terms(objective, network, LABELS["all labelled"]).values())


def test_auto_uses_all_pairs_until_it_decides_and_then_the_related_ones() -> None:
    network, objective = make(pairs="auto", decide_at=0.5)
    labels = [("segmentation",), ("depth",), ("normals",)] * 2
    objective.relations.matched.copy_(torch.tensor([[0, 0.1, 5.0], [0.1, 0, 5.0], [5.0, 5.0, 0]]))
    objective.relations.mismatched.fill_(5.0)
    objective.set_progress(0.4)
    assert all(value > 0 for value in terms(objective, network, labels).values())
    objective.set_progress(0.5)
    after = terms(objective, network, labels)
    assert {name for name, value in after.items() if value > 0} == {"segmentation->depth", "depth->segmentation"}


def test_a_budget_of_one_pair_maps_two_rows_per_image() -> None:
    network, objective = make(max_pairs=1)
    seen = []
    objective.mapping.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    terms(objective, network, [("segmentation",), ("depth",)])
    assert sum(seen) == 4


@pytest.mark.parametrize("options", [{"max_pairs": 0}, {"decide_at": 2.0}], ids=lambda options: next(iter(options)))
def test_wrong_options_are_refused_by_name(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make(**options)


def test_a_distance_that_is_no_number_does_not_stay_in_the_relations() -> None:
    relations = PairRelations(3, threshold=0.4)
    own, other = torch.eye(2)[:, :, None, None], torch.eye(2)[:, :, None, None].flip(0)
    relations.update(two_images(), torch.full_like(own, torch.nan), own, torch.tensor([torch.nan, torch.nan]))
    assert relations.gain().isnan().all()
    assert not relations.matched.isnan().any()
    relations.update(two_images(), own, own, torch.tensor([0.25, 0.25]))
    assert relations.gain()[0, 1].item() == pytest.approx(0.75)
    relations.update(two_images(), own, other, torch.tensor([torch.nan, 0.25]))
    assert relations.gain()[0, 1].isfinite()
