"""Every numeric option of a network, objective, weighting or of the settings refuses numbers that make no sense."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import fields
from math import inf, nan
from typing import Any

import pytest
import torch
from torch import nn

from builders import make_objective, tasks
from mtpsl.data.regimes import check_ratio
from mtpsl.networks import NETWORKS
from mtpsl.objectives import OBJECTIVES, CrossTaskConsistency
from mtpsl.training.data_settings import DataSettings
from mtpsl.training.option_groups import groups_of
from mtpsl.training.settings import TrainingSettings
from mtpsl.weighting import WEIGHTINGS

SETTINGS = {"data": DataSettings, "training": TrainingSettings}
GROUPS: dict[str, dict[str, Any]] = {
    "network": NETWORKS,
    "objective": OBJECTIVES,
    "weighting": WEIGHTINGS,
    "settings": SETTINGS,
}
COUNT, POSITIVE, NOT_NEGATIVE, SHARE = [-1, 0], [-1.0, 0.0, nan, inf], [-1.0, nan, inf], [-0.1, 1.5, nan, inf]
SEED = [2**63, -(2**70)]
NONSENSE: dict[str, list[Any]] = {
    **dict.fromkeys(["decoder_channels", "head_channels", "discriminator_channels", "mapping.film_halving"], COUNT),
    **dict.fromkeys(["extensions.max_pairs", "optim_niter", "epochs", "patience", "batch_size", "accumulate"], COUNT),
    **dict.fromkeys(
        ["validate_every", "devices", "num_nodes", "classes", "limit", "window", "scenes_train", "scenes_val"], COUNT
    ),
    **dict.fromkeys(["width", "mapping.width", "mapping.lr", "mapping.film_lr", "discriminator_lr"], POSITIVE),
    "encoder_lr_factor": POSITIVE,
    **dict.fromkeys(["temperature", "weight_lr", "lr", "clip", "cache_limit"], POSITIVE),
    **dict.fromkeys(["term.weight", "regularizer", "margin", "reconstruction", "encoder_distance"], NOT_NEGATIVE),
    **dict.fromkeys(["relations.weight"], NOT_NEGATIVE),
    "losses.predicted_weight": NOT_NEGATIVE,
    "relations.tolerance": [-1],
    "relations.ramp": SHARE,
    **dict.fromkeys(["alpha", "c", "max_norm", "weight_decay", "checkpoint_minutes"], NOT_NEGATIVE),
    **dict.fromkeys(["term.ramp", "extensions.decide_at", "extensions.min_gain", "photometric"], SHARE),
    **dict.fromkeys(["confidence.probability", "confidence.class_share", "confidence.value_share"], SHARE),
    **dict.fromkeys(["decay", "jitter"], SHARE),
    "warmup": [*SHARE, 1.0],
    "ema": [*SHARE, 1.0],
    "workers": [-1],
    "sheets": [-1],
    **dict.fromkeys(["seed", "label_seed"], SEED),
    "losses.task_weights": [{"depth": x} for x in NOT_NEGATIVE],
    "weights": [{"depth": x} for x in NOT_NEGATIVE],
    "views": [-1, 0, 4],
    "mapping.stride": [-1, 0, 3],
    "mapping.level": [-1, 0, 3, 64],
    "output_stride": [-1, 0, 12],
    "start": [nan, inf],
    "depth_mean": [nan, inf],
    "depth_std": POSITIVE,
    "first_phase": [*SHARE, 0.0, 1.0],
    "dropout": [*SHARE, 1.0],
    "rates": [(0, 12, 24), (-1, 12, 24)],
    "scales": [(), (0.5,), (-1.0,), (nan,), (inf,)],
    "rotation": [-1.0, 181.0, nan, inf],
    "rescale": [(0.0, 1.0), (-1.0, 1.0), (1.2, 1.0), (nan, 1.0), (1.0, inf)],
    "size": [(0, 96), (96, -32)],
    "ratio": [[-1.0, 2.0], [nan, 1.0], [inf, 1.0]],
    "share": [*SHARE, 0.0, 1.0],
}
NEEDS: dict[str, dict[str, Any]] = {
    "extensions.decide_at": {"extensions.pairs": "auto"},
    "extensions.min_gain": {"extensions.pairs": "auto"},
    "scenes_train": {"name": "scenes"},
    "scenes_val": {"name": "scenes"},
    "ratio": {"regime": "ratio"},
    "share": {"regime": "semi"},
}
"""What an option belongs to."""


class Features(nn.Module):
    stride, feature_channels = 4, 8


def make(group: str, choice: str, **options: Any) -> Any:
    some = tasks()
    if group == "network":
        return NETWORKS[choice]({task.name: task.out_channels for task in some}, **options)
    if group == "objective":
        kind, some = OBJECTIVES[choice], some[1:2] if choice == "stl" else some
        return make_objective(kind, some, Features(), **options)
    if group == "weighting":
        return WEIGHTINGS[choice]([task.name for task in some], **options)
    settings = SETTINGS[choice](**options)
    if options.get("ratio"):
        check_ratio(settings.ratio, ["depth", "normals"])  # which needs to know the tasks
    return settings


def numeric() -> Iterable[tuple[str, str, str]]:
    """Group, class and option of all that holds a number."""
    for group, registry in GROUPS.items():
        for name, cls in registry.items():
            for option, kind in annotations(cls).items():
                supplied = option in ("in_channels", "out_channels")
                if any(number in kind for number in ("int", "float")) and not supplied:
                    yield group, name, option


def annotations(cls: type) -> dict[str, str]:
    """The types of a constructor's options, those of options in groups by their dotted name."""
    groups, found = groups_of(cls), {}
    for name, parameter in inspect.signature(cls).parameters.items():
        inside = fields(groups[name]) if name in groups else ()
        found |= {f"{name}.{field.name}": str(field.type) for field in inside} or {name: str(parameter.annotation)}
    return found


@pytest.mark.parametrize(("group", "name", "option"), [*numeric()])
def test_numbers_that_make_no_sense_are_refused(
    group: str, name: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtpsl.weighting.cagrad.require_packages", lambda *names: None)
    monkeypatch.setattr("mtpsl.weighting.nash_mtl.require_packages", lambda *names: None)
    assert option in NONSENSE, f"say in NONSENSE which numbers {option} cannot be"
    for value in NONSENSE[option]:
        with torch.device("meta"), pytest.raises(ValueError, match=r"should|is a share") as error:
            make(group, name, **NEEDS.get(option, {}), **{option: value})
        assert len(str(error.value).splitlines()) == 1
        assert option in str(error.value) or "the weight of" in str(error.value)


@pytest.mark.parametrize(
    ("group", "name", "options", "message"),
    [
        ("objective", "cross_task", {"conditional": False, "film_lr": 1e-3}, "--objective.mapping.film_lr null"),
        (
            "objective",
            "contrastive",
            {"conditional": False, "film_halving": 30},
            "--objective.mapping.film_halving null",
        ),
        ("objective", "cross_task", {"decide_at": 0.3}, "extensions.decide_at belongs to extensions.pairs auto"),
        ("objective", "cross_task", {"min_gain": 0.3}, "extensions.min_gain belongs to extensions.pairs auto"),
        ("objective", "semi_supervised", {"scales": (1.0,)}, "above 1"),
        ("settings", "data", {"root": "data", "scenes_train": 10}, "data.scenes_train belongs to data.name scenes"),
        ("settings", "data", {"name": "nyuv2", "scenes_val": 10}, "--data.scenes_val 60"),
    ],
)
def test_options_without_effect_are_refused(group: str, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(group, name, **options)


def test_options_take_effect_where_they_belong() -> None:
    objective = make("objective", "cross_task", pairs="auto", min_gain=0.3, decide_at=0.3, width=0.01)
    assert isinstance(objective, CrossTaskConsistency)
    assert (objective.relations.threshold, objective.extensions.decide_at) == (0.3, 0.3)
    assert make("settings", "data", name="scenes", scenes_train=10).scenes_train == 10
    assert make("settings", "data", root="data", scenes_train=240).root == "data"  # as run folders have it
