"""How fast training is: the figures that stand in ``metrics.jsonl``, ``result.json`` and W&B, by the same names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from passingloop.figures import brief, percent, rate

GB = 1e9

MFU = ("mfu_all_parameters", "mfu_without_embedding", "mfu_causal")
"""Model FLOPs utilisation by each definition (`passingloop.train.meters.flops`)."""

FIGURES = ("samples_per_second", "tokens_per_second", "padding", "data_wait", "peak_memory_gb", *MFU)
"""Which differ from one attempt at the same steps to another. Shares are of 1."""

LONG_WAIT = 0.1
"""Share of the time that is waited for data from which on tables say it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """The speed of some steps, over all processes if nothing else is said."""

    samples_per_second: float
    tokens_per_second: float
    """Without padding."""
    padding: float
    """The share of the places that the first process computes for which hold no token."""
    data_wait: float
    """The share of the time in which the first process waited for its next batch, with nothing to do for its device."""
    mfu: Mapping[str, float] | None = None
    """By the definitions in `MFU`, without the prefix; None on devices whose peak is not known."""
    peak_memory: int = 0
    """Bytes that the first process has used at most since the run began; 0 if that was not looked at."""

    def known(self) -> dict[str, float]:
        """The figures that are known, by their names."""
        known = {
            "samples_per_second": self.samples_per_second,
            "tokens_per_second": self.tokens_per_second,
            "padding": self.padding,
            "data_wait": self.data_wait,
        }
        known |= {"peak_memory_gb": self.peak_memory / GB} if self.peak_memory else {}
        known |= {f"mfu_{name}": share for name, share in (self.mfu or {}).items()}
        return {name: _short(value) for name, value in known.items()}

    def all(self) -> dict[str, float | None]:
        """All figures by their names; None for what is not known."""
        known = self.known()
        return {name: known.get(name) for name in FIGURES}

    def texts(self) -> list[str]:
        """For the line of progress."""
        texts = [f"{rate(self.samples_per_second)} samples/s", f"data wait {percent(self.data_wait)}"]
        return texts + ([f"MFU {percent(self.mfu['causal'])}"] if self.mfu else [])


def known_figures(content: Any) -> dict[str, float]:
    """The figures that are known, of a row of ``metrics.jsonl`` or of what stands in a result."""
    found = content if isinstance(content, Mapping) else {}
    return {name: found[name] for name in FIGURES if isinstance(found.get(name), int | float)}


def speed_texts(figures: Mapping[str, float]) -> list[str]:
    """All that is known of a run's speed, in words; MFU by the three definitions, the strictest first."""
    texts = [
        f"{shown(figures[name])} {words}"
        for name, shown, words in (
            ("samples_per_second", rate, "samples/s"),
            ("tokens_per_second", rate, "tokens/s"),
            ("padding", percent, "padding"),
            ("data_wait", percent, "data wait"),
            ("peak_memory_gb", brief, "GB at most"),
        )
        if name in figures
    ]
    shares = [percent(figures[name]) for name in reversed(MFU) if name in figures]
    return texts + ([f"MFU {shares[0]}{_others(shares[1:])}"] if shares else [])


def short_speed(figures: Mapping[str, float]) -> str:
    """For a column: samples per second, MFU where it is known, and the wait for data where it is long."""
    if "samples_per_second" not in figures:
        return ""
    texts = [rate(figures["samples_per_second"])]
    if "mfu_causal" in figures:
        texts.append(f"MFU {percent(figures['mfu_causal'])}")
    if figures.get("data_wait", 0.0) >= LONG_WAIT:
        texts.append(f"data wait {percent(figures['data_wait'])}")
    return ", ".join(texts)


def _others(shares: Sequence[str]) -> str:
    return f" ({', '.join(shares)} by other definitions)" if shares else ""


def _short(value: float) -> float:
    """With four digits: files have thousands of numbers."""
    return float(f"{value:.4g}")
