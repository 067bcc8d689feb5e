"""Cross-task consistency: which pairs count, what gradients reach, and that one pass equals many."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from builders import LABELS, THREE, batch, make_objective, tasks
from builders import small_cross_task as make
from mtpsl.networks import SegNet
from mtpsl.objectives import CrossTaskConsistency
from mtpsl.objectives.distance import cosine_distance
from mtpsl.objectives.mapping.pairs import Pair, plan_pairs
from mtpsl.structures import Batch


def consistency(objective: CrossTaskConsistency, network: SegNet, data: Batch) -> dict[str, Tensor]:
    torch.manual_seed(1)
    output = network.eval()(data.images)
    return objective.consistency(output.predictions, output.features[-1], data)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("learned", [{}, {"fit": "labels"}, {"fit": "labels", "margin": "labels"}], ids=str)
def test_losses_are_finite_for_every_kind_of_batch(
    labels: list[tuple[str, ...]], views: int, learned: dict[str, str]
) -> None:
    network, objective = make(views=views, **learned)
    losses = objective(network, batch(labels))
    losses.total().backward()
    assert torch.isfinite(losses.total())
    assert set(losses.tasks) == set(THREE)
    assert len(losses.auxiliary) == (12 if learned else 6)
    assert all(torch.isfinite(loss) for loss in losses.auxiliary.values())
    for parameter in [*network.parameters(), *objective.parameters()]:
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


def test_only_pairs_of_an_unlabelled_and_a_labelled_task_count() -> None:
    network, objective = make()
    terms = consistency(objective, network, batch([("segmentation",), ("depth", "normals")]))
    positive = {name for name, term in terms.items() if term > 0}
    assert positive == {"depth->segmentation", "normals->segmentation", "segmentation->depth", "segmentation->normals"}


@pytest.mark.parametrize("labels", [LABELS["all labelled"], LABELS["no label at all"]])
def test_without_pairs_the_term_is_zero(labels: list[tuple[str, ...]]) -> None:
    network, objective = make()
    assert all(term == 0 for term in consistency(objective, network, batch(labels)).values())


@pytest.mark.parametrize("labels", [LABELS["one label each"], LABELS["a task with none"]])
def test_hidden_labels_change_nothing(labels: list[tuple[str, ...]]) -> None:
    network, objective = make()
    data = batch(labels)
    spoiled = {}
    for name, target in data.targets.items():
        hidden = ~data.valid[name] if target.ndim == 3 else (~data.valid[name])[:, None].expand_as(target)
        spoiled[name] = target.masked_fill(hidden, 4 if name == "segmentation" else float("nan"))
    other = Batch(data.keys, data.images, spoiled, data.valid)
    for one, two in zip(
        consistency(objective, network, data).values(), consistency(objective, network, other).values(), strict=True
    ):
        assert torch.equal(one, two)


def test_one_pass_equals_one_image_and_one_pair_at_a_time() -> None:
    network, objective = make(reduction="sum")
    network.eval()
    data = batch([("depth",), ("depth", "normals"), ("normals",)], holes=True)
    some = list(objective.tasks)
    some[0].encode_prediction = lambda prediction: prediction.softmax(1)  # type: ignore[method-assign]  # no sampling
    output = network(data.images)
    together = objective.consistency(output.predictions, output.features[-1], data)
    expected = dict.fromkeys(together, torch.zeros(()))
    for n in range(3):
        for s, source in enumerate(some):
            for t, target in enumerate(some):
                if data.labelled(source.name)[n] or not data.labelled(target.name)[n]:
                    continue
                pair = torch.tensor([Pair(n, s, t).column(3)])
                one = slice(n, n + 1)
                encoded = source.encode_prediction(output.predictions[source.name][one])
                a = objective.mapping(objective.mapping.stem(encoded, s), pair)
                label = target.encode_target(data.targets[target.name][one], data.valid[target.name][one])
                b = objective.mapping(objective.mapping.stem(label, t), pair)
                f = output.features[-1][one]
                value = cosine_distance(a, b) + 0.5 * (cosine_distance(a, f) + cosine_distance(b, f))
                name = f"{source.name}->{target.name}"
                expected[name] = expected[name] + value.sum() / 3
    for name, term in together.items():
        torch.testing.assert_close(term, expected[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("sample", "drawn"), [("image", 2), ("pair", 3)])
def test_classes_are_drawn_once_per_image_or_once_per_pair(sample: str, drawn: int) -> None:
    network, objective = make(sample=sample)
    rows, encode = [], objective.tasks[0].encode_prediction

    def counted(prediction: Tensor) -> Tensor:
        rows.append(len(prediction))
        return encode(prediction)

    objective.tasks[0].encode_prediction = counted  # type: ignore[method-assign]
    data = batch([("depth",), ("depth", "normals"), ("segmentation",)], holes=True)
    terms = consistency(objective, network, data)
    assert rows == [drawn]  # segmentation->depth of two images, segmentation->normals of one
    assert all(term.isfinite() for term in terms.values())


def test_where_nothing_is_drawn_a_draw_per_pair_changes_nothing() -> None:
    results = []
    for sample in ("image", "pair"):
        network, objective = make(sample=sample)
        objective.tasks[0].encode_prediction = lambda x: x.softmax(1)  # type: ignore[method-assign]
        results.append(consistency(objective, network, batch(LABELS["one label each"])))
    for name, term in results[0].items():
        torch.testing.assert_close(term, results[1][name])


@pytest.mark.parametrize("flip", [False, True])
def test_half_of_the_second_crops_are_mirrored_where_asked(flip: bool) -> None:
    network, objective = make(views=2, flip_view=flip)
    seen = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    data = batch([("depth",)] * 8)
    ramp = torch.linspace(0, 1, data.images.shape[-1]).expand_as(data.images)  # brighter to the right, also in a crop
    objective(network, Batch(data.keys, ramp, data.targets, data.valid))
    second = seen[0][8:]
    mirrored = second[:, 0, 0, 0] > second[:, 0, 0, -1]
    assert mirrored.any() == flip
    assert not mirrored.all()


def test_gradients_reach_prediction_mapping_and_conditioning_but_not_the_features() -> None:
    network, objective = make()
    data = batch([("segmentation",)])
    output = network.eval()(data.images)
    predictions = {name: x.detach().requires_grad_() for name, x in output.predictions.items()}
    features = output.features[-1].detach().requires_grad_()
    torch.stack(list(objective.consistency(predictions, features, data).values())).sum().backward()
    assert features.grad is None
    assert predictions["segmentation"].grad is None
    assert predictions["depth"].grad is not None
    assert predictions["depth"].grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in objective.mapping.conditioning()[:2])


def test_options_change_what_they_say() -> None:
    data = batch(LABELS["one label each"])
    network, _ = make()

    def total(progress: float = 0.0, **options: object) -> float:
        objective = make(**options)[1]
        objective.set_progress(progress)
        return sum(float(term.detach()) for term in consistency(objective, network, data).values())

    base = total()
    assert total(weight=3.0) == pytest.approx(3 * base, rel=1e-5)
    assert total(regularizer=0.0) < base
    assert total(reduction="sum") == pytest.approx(2 * base, rel=1e-5)
    assert total(progress=0.25, ramp=0.5) == pytest.approx(base / 2, rel=1e-5)
    assert not make(conditional=False)[1].mapping.conditioning()


@pytest.mark.parametrize("mapping", ["segnet", "resnet18"])
def test_a_checkpointed_mapping_keeps_less_for_the_backward_pass_and_gives_the_same_gradients(mapping: str) -> None:
    def step(**options: object) -> tuple[int, list[Tensor | None]]:
        network, objective = make(network=mapping, **options)
        kept: dict[int, int] = {}

        def keep(x: Tensor) -> Tensor:
            kept[x.data_ptr()] = x.numel()
            return x

        data = batch(LABELS["one label each"], size=(64, 96))
        output = network(data.images)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            terms = objective.consistency(output.predictions, output.features[-1], data)
        torch.stack(list(terms.values())).sum().backward()
        return sum(kept.values()), [p.grad for p in [*network.parameters(), *objective.parameters()]]

    kept, gradients = step()
    fewer, same = step(checkpoint=True)
    assert fewer < 0.7 * kept
    torch.testing.assert_close(same, gradients)


def test_half_resolution_keeps_the_size_of_the_result() -> None:
    network, objective = make(stride=2)
    data = batch(LABELS["one label each"], size=(64, 96))
    output = network(data.images)
    maps = objective.mapped_features(
        output.predictions,
        Batch(
            *(  # one image
                data.keys[:1],
                data.images[:1],
                {k: v[:1] for k, v in data.targets.items()},
                {k: v[:1] for k, v in data.valid.items()},
            )
        ),
    )
    assert all(source.shape[1:] == output.features[-1].shape[1:] for source, _ in maps.values())


def test_parameter_groups_cover_everything_once_with_their_rates() -> None:
    _, objective = make(lr=1e-4, film_lr=1e-3, film_halving=30)
    groups = list(objective.parameter_groups(5e-4))
    assert [group["lr"] for group in groups] == [1e-4, 1e-3]
    assert groups[1]["halve_every"] == 30
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in objective.parameters())


def test_pair_columns_are_row_major_without_the_diagonal() -> None:
    ordered = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    assert [Pair(0, source, target).column(3) for source, target in ordered] == [0, 1, 2, 3, 4, 5]


def test_plan_lists_every_unlabelled_labelled_pair() -> None:
    pairs = plan_pairs(torch.tensor([[True, False, False], [True, True, False]]))
    assert pairs == [(0, 1, 0), (0, 2, 0), (1, 2, 0), (1, 2, 1)]


def test_cosine_distance_by_hand() -> None:
    a = torch.tensor([[1.0, 0.0]]).view(1, 2, 1, 1).expand(1, 2, 1, 2).clone()
    b = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]]]])  # same direction at the first pixel, orthogonal at the second
    assert cosine_distance(a, b).tolist() == [0.5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": 3}, "views"),
        ({"weight": -1.0}, "weight"),
        ({"ramp": 2.0}, "ramp"),
        ({"flip_view": True}, "flip_view.*views 2"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_one_task_is_refused() -> None:
    network, _ = make()
    with pytest.raises(ValueError, match="at least 2"):
        CrossTaskConsistency(tasks()[:1], network)


def test_a_network_of_ones_own_works() -> None:
    class Tiny(nn.Module):
        stride, feature_channels = 4, 16

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 16, 4, stride=4)
            self.heads = nn.ModuleDict({t.name: nn.ConvTranspose2d(16, t.out_channels, 4, stride=4) for t in tasks()})

        def forward(self, images: Tensor) -> object:
            from mtpsl.structures import Output

            x = self.body(images)
            return Output({name: head(x) for name, head in self.heads.items()}, [x])

    network = Tiny()
    objective = make_objective(CrossTaskConsistency, tasks(), network, views=1, width=0.125)
    assert torch.isfinite(objective(network, batch(LABELS["one label each"])).total())
