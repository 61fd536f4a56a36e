"""What transformers would ask the device about a batch in every forward pass, answered from how it was laid out.

To choose a kernel, or to warn, transformers looks into masks, positions and ids: whether nothing is padded, whether
several sequences share a row. Each look makes the host wait until the GPU has done everything that is queued.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import Tensor
from transformers import masking_utils, modeling_utils


@contextmanager
def known_masks(*, packed: bool) -> Iterator[None]:
    """A context in which models compute without looking into their inputs: a mask that is given is used.

    Args:
        packed: whether several sequences share a row, as position_ids say; otherwise each row is one.
    """
    with ExitStack() as stack:
        # transformers looks at no values while a graph is traced, in which they are not known either.
        for module in (masking_utils, modeling_utils):
            stack.enter_context(_replaced(module, "is_tracing", _hides_values))
        if not packed:  # also without position_ids, as many models make some
            stack.enter_context(_replaced(masking_utils, "find_packed_sequence_indices", _one_sequence_a_row))
        yield


@contextmanager
def _replaced(module: object, name: str, function: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, before)


_is_tracing = masking_utils.is_tracing


def _hides_values(tensor: Tensor | None = None) -> bool:
    return tensor is not None or bool(_is_tracing())


def _one_sequence_a_row(position_ids: Tensor) -> None:
    """transformers' own result for such rows."""
