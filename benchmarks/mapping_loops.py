"""The mapping as a loop over images and pairs, as one writes it from the paper, to compare the batched one with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtpsl.objectives import CrossTaskConsistency
from mtpsl.objectives.distance import cosine_distance
from mtpsl.objectives.mapping import MappingNetwork
from mtpsl.objectives.mapping.layers import MappingLayer
from mtpsl.objectives.mapping.pairs import Pair
from mtpsl.structures import Batch


class PlainLayer(nn.Module):
    """Convolution, batch norm, FiLM and ReLU of a `MappingLayer`, one after another."""

    def __init__(self, layer: MappingLayer) -> None:
        super().__init__()
        self.conv, self.gamma, self.beta = layer.conv, layer.norm.gamma, layer.norm.beta
        self.norm = nn.BatchNorm2d(layer.conv.out_channels, track_running_stats=False)
        self.norm.weight, self.norm.bias = layer.norm.weight, layer.norm.bias

    def forward(self, x: Tensor, pair: Tensor) -> Tensor:
        """All four, for one image."""
        x = self.norm(self.conv(x))
        if self.gamma is not None and self.beta is not None:
            x = self.gamma[pair][:, :, None, None] * x + self.beta[pair][:, :, None, None]
        return F.relu(x)


class PlainMapping(nn.Module):
    """The mapping network as one would write it from the paper, with the weights of ours."""

    def __init__(self, mapping: MappingNetwork) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(PlainLayer(layer) for layer in mapping.inputs)
        self.stages = nn.ModuleList(nn.ModuleList(PlainLayer(layer) for layer in stage) for stage in mapping.stages)
        self.halvings = mapping.halvings

    def stem(self, encoding: Tensor, task: int) -> Tensor:
        """The task's input layer."""
        return self.inputs[task](encoding, torch.tensor([0]))

    def forward(self, x: Tensor, pair: Tensor) -> Tensor:
        """Everything else, for one image and pair."""
        for number, stage in enumerate(self.stages):
            for layer in stage:
                x = layer(x, pair)
            x = F.max_pool2d(x, 2) if number < self.halvings else x
        return x


class Loop(CrossTaskConsistency):
    """The same losses from a loop over images and pairs, for comparison only."""

    def consistency(self, predictions: dict[str, Tensor], features: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Sum pair after pair."""
        totals: dict[str, Tensor] = {}
        for n in range(len(batch)):
            one = Batch(
                (batch.keys[n],),
                batch.images[n : n + 1],
                {name: x[n : n + 1] for name, x in batch.targets.items()},
                {name: x[n : n + 1] for name, x in batch.valid.items()},
            )
            labelled = [bool(one.labelled(task.name)) for task in self.tasks]
            for s in range(len(self.tasks)):
                for t in range(len(self.tasks)):
                    if labelled[s] or not labelled[t]:
                        continue
                    only = {
                        name: valid if name == self.tasks[t].name else torch.zeros_like(valid)
                        for name, valid in one.valid.items()
                    }
                    pair = CrossTaskPair(self, s, t)
                    name = f"{self.tasks[s].name}->{self.tasks[t].name}"
                    term = pair(
                        {key: x[n : n + 1] for key, x in predictions.items()},
                        features[n : n + 1],
                        Batch(one.keys, one.images, one.targets, only),
                    )
                    weight = 1 / (len(batch) * (len(self.tasks) - sum(labelled)))
                    totals[name] = totals.get(name, torch.zeros(())) + term * weight
        return totals


class CrossTaskPair:
    """One pair of one image."""

    def __init__(self, objective: CrossTaskConsistency, source: int, target: int) -> None:
        self.objective, self.source, self.target = objective, source, target

    def __call__(self, predictions: dict[str, Tensor], features: Tensor, one: Batch) -> Tensor:
        """Both sides, each in its own call."""
        tasks, mapping = self.objective.tasks, self.objective.mapping
        s, t = tasks[self.source], tasks[self.target]
        pair = torch.tensor([Pair(0, self.source, self.target).column(len(tasks))])
        source = mapping(mapping.stem(s.encode_prediction(predictions[s.name]), self.source), pair)
        label = t.encode_target(one.targets[t.name], one.valid[t.name])
        target = mapping(mapping.stem(label, self.target), pair)
        reference = features.detach()
        regularizer = cosine_distance(source, reference) + cosine_distance(target, reference)
        return (cosine_distance(source, target) + self.objective.regularizer * regularizer).sum()
