"""What cross-task consistency can do that the paper does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mtpsl.options import check_at_least_one, check_choice, check_share


@dataclass(frozen=True, kw_only=True)
class Extensions:
    """What is not in the paper.

    Args:
        pairs: `all` pairs of tasks, or `auto`: only those found related after the first part of the training
            (`PairRelations`; the paper names modeling all pairs as its limitation).
        decide_at: share of the training before which `auto` does not decide; it also waits for a clear gain.
        min_gain: smallest gain of a pair that `auto` keeps, as a share of the strongest pair's; the gain is how much
            nearer than another image's label the image's own label is, as a share of the distance.
        max_pairs: at most so many pairs per image and step, drawn anew each time and weighted to the same expected
            loss: the cost of a step does not grow with the number of tasks.
        fit: what the mapping learns from: the whole `term`, as published, with which it can collapse, since agreeing is
            cheapest where nothing is told apart; or `labels` alone, which it maps to the image's features. Predictions
            are then compared in a space that they cannot bend, at 1.5 times the mapping's cost with three tasks.
        margin: how near to other tasks' labels and to the image's features predictions are drawn: `none` sets no
            limit, as published, by which they learn to show what their own task's labels do not; `labels` no nearer
            than labels are (`LabelMargins`).
        balance: scale what the term asks of each task's predictions to the size of what the task's labels ask, times
            the term's weight (`GradientBalance`).
    """

    pairs: Literal["all", "auto"] = "all"
    decide_at: float = 0.2
    min_gain: float = 0.5
    max_pairs: int | None = None
    fit: Literal["term", "labels"] = "term"
    margin: Literal["none", "labels"] = "none"
    balance: bool = False

    def __post_init__(self) -> None:
        check_choice(("all", "auto"), **{"extensions.pairs": self.pairs})
        check_choice(("term", "labels"), **{"extensions.fit": self.fit})
        check_choice(("none", "labels"), **{"extensions.margin": self.margin})
        check_share("the training", **{"extensions.decide_at": self.decide_at})
        check_share("the strongest pair's gain", **{"extensions.min_gain": self.min_gain})
        for name in ("decide_at", "min_gain"):
            value, default = getattr(self, name), getattr(Extensions, name)
            if self.pairs == "all" and value != default:
                raise ValueError(
                    f"extensions.{name} belongs to extensions.pairs auto, not to all: choose auto, or leave {name} out "
                    f"({default})"
                )
        check_at_least_one(**{"extensions.max_pairs": self.max_pairs})
