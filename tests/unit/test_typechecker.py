"""Signatures are checked while tests run."""

from __future__ import annotations

import jaxtyping
import pytest
import torch

from mtpsl.structures import Score, masked_mean


def test_a_shape_that_contradicts_a_signature_is_refused():
    with pytest.raises(jaxtyping.TypeCheckError):
        masked_mean(torch.zeros(2, 3, 4), torch.ones(2, 4, 3, dtype=torch.bool))


def test_a_type_that_contradicts_a_signature_is_refused_but_a_whole_number_is_a_float():
    assert Score(1, "%", higher_is_better=True).value == 1
    with pytest.raises(jaxtyping.TypeCheckError):
        Score("1", "%", higher_is_better=True)
