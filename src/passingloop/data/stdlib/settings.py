"""The settings of `data=stdlib_docs`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from passingloop.config.data import DataConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class StdlibData(DataConfig):
    """Docstrings of the running Python's standard library, each labelled with its module. For trying things out."""

    CHECKED: ClassVar[Literal["never", "here", "in a process"]] = "never"

    source: Literal["stdlib_docs"]
    """Set by the choice `data=stdlib_docs`."""
