"""The benchmarks of training, in small: that they run, and say what they could not measure."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`module("gpu")`: the script as a module. Scripts import each other by name, so their folder is on the path."""
    monkeypatch.syspath_prepend(str(BENCH))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
        assert spec and spec.loader
        made = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, made)
        spec.loader.exec_module(made)
        return made

    return load


def report(*command: str) -> dict[str, Any]:
    """What a benchmark prints."""
    done = subprocess.run(
        [sys.executable, "-P", str(BENCH / command[0]), *command[1:]],
        env=os.environ | {"PYTHONPATH": str(BENCH), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.process
def test_a_step_is_profiled(module: Any, tmp_path: Path) -> None:
    figures = module("step_profile").recorded(tmp_path, None, of_peer=False)
    assert (figures["steps"], figures["recorded_steps"]) == (3, 3)
    assert figures["tokens_per_second"] > 0
    assert 0 <= figures["padding"] < 1
    assert figures["kinds"]["matrix products"]["share"] > 0
    assert figures["kinds"]["optimizer"]["share"] > 0
    shares = sum(kind["share"] for kind in figures["kinds"].values())
    assert shares + figures["outside_operators_share"] == pytest.approx(1, abs=0.01)
    assert any(row["name"] == "aten::mm" and row["calls_per_step"] >= 1 for row in figures["operators"])


@pytest.mark.slow
@pytest.mark.process
def test_a_step_of_the_peer_is_profiled(module: Any, tmp_path: Path) -> None:
    figures = module("step_profile").recorded(tmp_path, None, of_peer=True)
    assert figures["data_wait_ms"] > 0
    assert figures["kinds"]["matrix products"]["share"] > 0


@pytest.mark.slow
@pytest.mark.process
def test_throughput_is_compared() -> None:
    figures = report("throughput.py", "--tiny", "--steps", "3")
    assert [row["steps"] for rows in figures["rounds"].values() for row in rows] == [3, 3, 3]
    for ratios in figures["times_as_fast"].values():
        assert set(ratios) == {"samples_per_second", "tokens_per_second", "evaluation", "prepare"}
        assert min(ratios.values()) > 0


@pytest.mark.slow
@pytest.mark.process
def test_the_script_for_a_gpu_runs_and_makes_no_figures_up() -> None:
    figures = report("gpu.py", "--tiny")
    cases = figures["cases"]
    ours = {name: case for name, case in cases.items() if name.endswith("passingloop")}
    assert len(ours) == 3
    assert [name for name, case in ours.items() if "absent" in case] == []
    assert all(case["tokens_per_second"] > 0 for case in ours.values())
    assert cases["encoder 32, HF Trainer"]["tokens_per_second"] > 0
    if not importlib.util.find_spec("trl"):
        assert "trl" in cases["tiny packed, TRL"]["absent"]
        assert "trl" in figures["ratios"]["tiny packed, over TRL"]["absent"]
    if not torch.cuda.is_available():
        assert "absent" in ours["tiny full rows, passingloop"]["mfu"]


def test_what_was_not_measured_is_absent_from_the_ratios(module: Any) -> None:
    gpu = module("gpu")
    ours = {"tokens_per_second": 300.0}
    cases = {"a, passingloop": ours, "a, TRL": {"absent": "out of memory"}}
    assert gpu.ratios(cases) == {"a, over TRL": {"absent": "out of memory"}}
    cases["a, TRL"] = {"tokens_per_second": 200.0}
    assert gpu.ratios(cases) == {"a, over TRL": 1.5}


def test_the_published_utilisation_comes_out(module: Any) -> None:
    gpu = module("gpu")
    published = gpu.KEMPNER_FORGE
    shares = gpu.shares("8B", gpu.LENGTH, published["tokens_per_second"], gpu.peak_flops("NVIDIA H200"))
    assert [round(shares[kind], 3) for kind in ("all_parameters", "causal")] == published["mfu"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried\nmore\n", "out of memory"),
        ("Traceback\nModuleNotFoundError: No module named 'trl'\n\n", "ModuleNotFoundError: No module named 'trl'"),
        ("", "exit code 3"),
    ],
)
def test_the_reason_of_an_absent_figure(module: Any, said: str, why: str) -> None:
    assert module("children").reason(said, 3) == why


@pytest.mark.slow
@pytest.mark.process
def test_halving_is_compared_with_the_full_grid() -> None:
    data = ROOT.parent / "shared" / "data" / "banking77"
    if not data.is_dir():
        pytest.skip(f"{data} is not there")
    figures = report("sweep.py", str(data), "--tiny")
    grid, halving = figures["sweeps"]["grid"], figures["sweeps"]["halving"]
    assert (grid["attempts"], grid["trained_to_the_end"], grid["steps"]) == (3, 3, 3 * 18)
    assert (halving["attempts"], halving["trained_to_the_end"], halving["steps"]) == (5, 1, 3 * 2 + 4 + 12)
    assert figures["share_of_steps"] == pytest.approx(22 / 54, abs=0.001)
    assert 0 < halving["best"]["test/accuracy"] < 1
