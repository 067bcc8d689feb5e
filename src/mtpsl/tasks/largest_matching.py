"""How many pairs a largest one-to-one matching has."""

from __future__ import annotations

import numpy as np
import scipy
from jaxtyping import Bool, Int


def matching_size(
    may_pair: Bool[np.ndarray, "n m"], partners: Int[np.ndarray, "n m"], number: Int[np.ndarray, " p"]
) -> int:
    """The size of a largest matching of n labels, each with some of m `partners`, of which none may be used twice.

    It is the largest flow from a source through labels and partners to a sink where each lets one unit pass. Dinic's
    algorithm finds it in at most E sqrt(V) steps (S. Even and R. Tarjan, "Network flow and testing graph connectivity",
    SIAM J. Comput. 1975).

    Args:
        may_pair: which of its partners a label may have.
        partners: names of partners, rising in each row.
        number: zeros, one for every name there can be; they are zeros again afterwards.

    >>> partners = np.array([[0, 1], [0, 1], [1, 2]])
    >>> matching_size(np.array([[True, True], [True, True], [True, False]]), partners, np.zeros(3, np.int32))
    2
    >>> matching_size(np.array([[True, True], [True, True], [True, True]]), partners, np.zeros(3, np.int32))
    3
    """
    # Not scipy's maximum_bipartite_matching: its depth-first search forgets dead ends, which takes exponential time on
    # lines that lie beside lines (https://github.com/scipy/scipy/issues/26147).
    ends = partners[may_pair]
    number[ends] = 1
    names = np.flatnonzero(number)
    labels, others = len(may_pair), len(names)
    sink = labels + others + 1  # the source is vertex 0, then come labels, then partners
    number[names] = np.arange(labels + 1, sink)
    heads = np.concatenate([np.arange(1, labels + 1), number[ends], np.full(others, sink)])
    number[names] = 0
    degrees = np.concatenate([[labels], may_pair.sum(1), np.ones(others, dtype=np.int64), [0]])
    starts = np.append(0, np.cumsum(degrees))
    ones, indices, indptr = np.ones(len(heads), np.int32), heads.astype(np.int32), starts.astype(np.int32)
    graph = scipy.sparse.csr_array((ones, indices, indptr), shape=(sink + 1, sink + 1))
    return int(scipy.sparse.csgraph.maximum_flow(graph, 0, sink, method="dinic").flow_value)
