"""Which number format a run has: as asked for, as the first attempt has settled, or as a measurement says."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from passingloop.data.cache.measurements import Measurements
from passingloop.model.device import precision
from passingloop.model.device.precision import HEAD, Format, bf16_cost, choose_format, has_bf16, layer_widths
from tests.train.tiny import make_model

CPU = torch.device("cpu")


@pytest.fixture
def measurements(tmp_path: Path) -> Measurements:
    return Measurements(tmp_path / "measured.json", tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock on which each layer takes a known time, as a machine that others use has none: 2 s in fp32, more in bf16
    by `clock.cost`; with disturbances. It counts the layers."""

    class Clock:
        now, cost, layers = 0.0, 1.5, 0

    linear, disturbances = torch.nn.functional.linear, itertools.cycle([9.0, 0.0, 4.0, 0.0, 0.0])

    def timed(*arguments: torch.Tensor) -> torch.Tensor:
        Clock.now += 2.0 * (Clock.cost if torch.is_autocast_enabled("cpu") else 1.0) + next(disturbances)
        Clock.layers += 1
        return linear(*arguments)

    monkeypatch.setattr(torch.nn.functional, "linear", timed)
    monkeypatch.setattr(time, "thread_time", lambda: Clock.now)
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    monkeypatch.setattr(precision, "SECONDS", 0.0)
    monkeypatch.setattr(precision, "PASSES", 6)
    return Clock


def choose(wanted: Any, measurements: Measurements, pinned: str | None = None) -> Format:
    return choose_format(wanted, pinned, CPU, make_model("llama").config, measurements)


def test_what_is_asked_for_is_what_is_used(measurements: Measurements, clock: Any) -> None:
    assert choose("fp32", measurements) == Format("fp32", None)
    assert clock.layers == 0, "nothing is measured where nothing is to be said of it"
    assert choose("bf16", measurements).name == "bf16"


@pytest.mark.parametrize(("cost", "name"), [(0.5, "bf16"), (2.0, "fp32")])
def test_auto_is_what_is_faster_and_measured_once(
    measurements: Measurements, clock: Any, cost: float, name: str, tmp_path: Path
) -> None:
    clock.cost = cost
    found = choose("auto", measurements)
    assert found.name == name
    assert found.cost is not None and (found.cost < 1) == (cost < 1)
    measured = clock.layers
    assert choose("auto", Measurements(tmp_path / "another run.json", tmp_path)) == found
    assert clock.layers == measured


def test_a_later_attempt_has_the_format_of_the_first(measurements: Measurements, clock: Any) -> None:
    clock.cost = 2.0
    assert choose("auto", measurements, pinned="bf16").name == "bf16"


def test_hardware_without_bf16_is_not_measured(
    measurements: Measurements, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    assert choose("auto", measurements) == Format("fp32", None)
    assert clock.layers == 0


def test_the_flags_of_this_cpu() -> None:
    with open("/proc/cpuinfo") as file:  # noqa: PTH123
        flags = next((line.split(":")[1].split() for line in file if line.startswith(("flags", "Features"))), [])
    assert has_bf16(CPU) == bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_flags_of_this_gpu() -> None:
    assert has_bf16(torch.device("cuda")) == (torch.cuda.get_device_capability() >= (8, 0))


def test_a_measurement_leaves_random_numbers_and_threads_as_they_were() -> None:
    before = torch.get_rng_state(), torch.get_num_threads()
    assert bf16_cost(HEAD, HEAD, CPU) > 0
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]


def test_disturbances_do_not_count(clock: Any) -> None:
    assert 1.0 < bf16_cost(HEAD, HEAD, CPU) <= 1.5


@pytest.mark.parametrize(
    ("settings", "widths"),
    [
        (transformers.BertConfig(hidden_size=384, intermediate_size=1536), (384, 1536)),
        (transformers.LlamaConfig(hidden_size=4096, intermediate_size=14336), (512, 1792)),
        (transformers.GPT2Config(n_embd=256), (256, 1024)),
        (transformers.BertConfig(hidden_size=8, num_attention_heads=2), (HEAD, 8 * HEAD)),
    ],
)
def test_the_layer_has_the_widths_of_the_model_as_far_as_time_allows(settings: Any, widths: tuple[int, int]) -> None:
    assert layer_widths(settings, 512) == widths


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Format("fp32", None), "fp32"),
        (Format("bf16", 0.612), "bf16: a layer takes 0.61 × the time of fp32"),
        (
            Format("bf16", 1.5),
            "bf16: a layer takes 1.5 × the time of fp32; a run with trainer.precision=fp32 is faster here",
        ),
        (Format("fp32", 1.5), "fp32: in bf16 a layer takes 1.5 × the time"),
    ],
)
def test_what_the_header_says(found: Format, words: str) -> None:
    assert str(found) == words
