"""Which parameters several tasks share."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from torch.autograd.graph import Node


def shared_parameters(network: nn.Module, losses: Iterable[Tensor] = ()) -> list[nn.Parameter]:
    """The trainable parameters of a network that belong to no single task.

    In a network with a `ModuleDict` called `heads`, as all of this package's have, these are all but the heads' and
    those of other such dictionaries with an entry for each head (a decoder of each task). In any other one they are
    those that at least two of the `losses` reach.
    """
    trainable = {name: p for name, p in network.named_parameters() if p.requires_grad}
    if isinstance(heads := getattr(network, "heads", None), nn.ModuleDict):
        dicts = {name: part for name, part in network.named_children() if isinstance(part, nn.ModuleDict)}
        own = tuple(f"{name}." for name, part in dicts.items() if part.keys() == heads.keys())
        return [p for name, p in trainable.items() if not name.startswith(own)]
    counts: dict[int, int] = {}
    for loss in losses:
        for identity in map(id, find_leaves(loss)):
            counts[identity] = counts.get(identity, 0) + 1
    return [p for p in trainable.values() if counts.get(id(p), 0) > 1]


def nearest_weight(shared: Sequence[nn.Parameter], loss: Tensor) -> nn.Parameter:
    """The shared parameter with at least two dimensions that is the fewest operations away from a loss.

    Raises:
        ValueError: there is none.
    """
    candidates = {id(p): p for p in shared if p.ndim > 1}
    for leaf in find_leaves(loss):
        if id(leaf) in candidates:
            return candidates[id(leaf)]
    raise ValueError("the tasks share no weight: give the name of a layer")


def find_leaves(loss: Tensor) -> list[Tensor]:
    """The leaves of a loss' graph, the nearest first."""
    leaves: list[Tensor] = []
    queue: deque[Node] = deque([loss.grad_fn] if loss.grad_fn is not None else [])
    seen = set(queue)
    while queue:
        node = queue.popleft()
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                queue.append(following)
    return leaves
