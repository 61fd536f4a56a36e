"""Model FLOPs utilisation."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import pytest

from passingloop.rundir.directory import RunDir
from passingloop.usage.model_flops import model_flops_utilization
from passingloop.usage.run_records import RunRecord
from tests.usage.told import Told

SHAPES = {"model.embed_tokens.weight": [1000, 100], "layers.0.weight": [100, 500], "norm.weight": [50]}
"""50,050 parameters that compute, and 100,000 that look up."""


def export(run: RunDir, shapes: dict[str, list[int]]) -> None:
    tensors: dict[str, Any] = {name: {"dtype": "F32", "shape": shape} for name, shape in shapes.items()}
    header = json.dumps(tensors | {"__metadata__": {"format": "pt"}}).encode()
    run.export.mkdir(exist_ok=True)
    (run.export / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


@pytest.fixture
def record(told: Told) -> RunRecord:
    """Two GPUs, a million tokens a second for 1,000 s."""
    run = told.runs.new("name=a")
    told.start(run, 0, "12", gpus=2)
    told.end(run, 1000, "completed", training=1000)
    export(run, SHAPES)
    read = told.read(run)
    result = {"tokens": 1e9, "train_seconds": 1000.0}
    attempts = tuple(replace(attempt, gpu_type="NVIDIA H200") for attempt in read.attempts)
    return replace(read, result=result, attempts=attempts)


def with_settings(record: RunRecord, **sections: Any) -> RunRecord:
    return replace(record, settings={**record.settings, **sections})


def test_by_hand(record: RunRecord) -> None:
    assert model_flops_utilization(record) == pytest.approx(6 * 50_050 * 1e6 / (2 * 989e12))
    lora = with_settings(record, adapter={"kind": "lora"})
    assert model_flops_utilization(lora) == pytest.approx(4 * 50_050 * 1e6 / (2 * 989e12))


def test_tied_embeddings_compute_the_output(record: RunRecord) -> None:
    causal = with_settings(record, task="causal_lm")
    assert model_flops_utilization(causal) == pytest.approx(6 * 150_050 * 1e6 / (2 * 989e12))
    export(record.run, {**SHAPES, "lm_head.weight": [1000, 100]})
    assert model_flops_utilization(causal) == pytest.approx(6 * 150_050 * 1e6 / (2 * 989e12))
    export(record.run, SHAPES)


@pytest.mark.parametrize("device", [None, "NVIDIA GeForce GTX 1080", "NVIDIA H200 MIG 1g.18gb"])
def test_other_devices_have_no_peak_here(record: RunRecord, device: str | None) -> None:
    attempts = tuple(replace(attempt, gpu_type=device) for attempt in record.attempts)
    assert model_flops_utilization(replace(record, attempts=attempts)) is None


def test_what_is_not_known(record: RunRecord) -> None:
    assert model_flops_utilization(replace(record, result=None)) is None
    assert model_flops_utilization(replace(record, result={"train_seconds": 1.0})) is None
    (record.run.export / "model.safetensors").write_bytes(b"short")
    assert model_flops_utilization(record) is None


@pytest.mark.parametrize("content", [struct.pack("<Q", 2**62), struct.pack("<Q", 2**64 - 1), b"\2" + bytes(7) + b"[]"])
def test_a_damaged_model_has_none(record: RunRecord, content: bytes) -> None:
    (record.run.export / "model.safetensors").write_bytes(content)
    assert model_flops_utilization(record) is None
