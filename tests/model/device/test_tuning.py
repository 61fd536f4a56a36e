"""How a model computes is tried once, fits, and is the same in all attempts."""

from __future__ import annotations

import math
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

import pytest
import torch

from passingloop.data.cache.measurements import Measurements
from passingloop.errors import ConfigError, MissingError
from passingloop.model.device import tuning
from passingloop.model.device.blocks import Blocks
from passingloop.model.device.kernels import Compiler, missing_compiler
from passingloop.model.device.tuning import Tuned, Tuning
from passingloop.startup.compiled_code import CODE_FOLDER
from tests.model.device.counting import CountedMemory
from tests.train.tiny import make_model

CPU = torch.device("cpu")
WIDTH = 16
ROOM = 8e6
Shared = TypeVar("Shared")


class Alone:
    leads = True

    def share(self, value: Shared) -> Shared:
        return value

    def largest(self, value: float) -> float:
        return value


class TinyPasses:
    """Passes of a tiny model, counted."""

    width, step_rows = WIDTH, 8
    set_rows = 3

    def __init__(self, model: Any) -> None:
        self.model, self.rows = model, list[int]()

    def run(self, rows: int, *, padded: bool = False) -> None:
        self.rows.append(rows)
        ids = torch.arange(rows * WIDTH).reshape(rows, WIDTH) % 300 + 4
        mask = torch.ones_like(ids)
        mask[-1, WIDTH - 3 if padded else WIDTH :] = 0
        inputs = {"attention_mask": mask} if padded else {}
        self.model(input_ids=ids, use_cache=False, **inputs).logits.logsumexp(-1).sum().backward()


@pytest.fixture
def measurements(tmp_path: Path) -> Measurements:
    return Measurements(tmp_path / "measured.json", tmp_path)


def make_tuning(measurements: Measurements, **chosen: Any) -> Tuning:
    model = make_model("llama", num_hidden_layers=4).train()
    defaults: dict[str, Any] = {
        "device": CPU,
        "blocks": Blocks(model),
        "passes": TinyPasses(model),
        "group": Alone(),
        "meter": CountedMemory(ROOM),
        "expected_tokens": 100,
        "held": 1000,
        "micro_batch": "auto",
        "compile": False,
        "compiler": Compiler(lambda words: None),
        "flops": 1.0,
        "is_sharded": False,
        "key": {"model": "tiny"},
        "measurements": measurements,
    }
    return Tuning(**(defaults | chosen))


def peak(rows: int, recomputed: int = 0, held: int = 1000) -> float:
    """Bytes that the second pass over so many rows takes."""
    model = make_model("llama", num_hidden_layers=4).train()
    passes, blocks = TinyPasses(model), Blocks(model)
    blocks.recompute(recomputed)
    return CountedMemory(1e12).peak(lambda: [passes.run(rows) for _ in range(2)] and None, held)


def test_a_pass_is_about_as_large_as_fits(measurements: Measurements) -> None:
    tuned = make_tuning(measurements).choose()
    rows = tuned.tokens // WIDTH
    assert tuned.recomputed == 0
    assert peak(rows) <= ROOM < peak(rows + rows // 16 + 1)
    assert str(tuned) == f"{tuned.tokens:,} tokens at most (as tried)"


def test_what_was_tried_once_is_not_tried_again(measurements: Measurements, tmp_path: Path) -> None:
    first = make_tuning(measurements).choose()
    for run in (measurements, Measurements(tmp_path / "another run.json", tmp_path)):
        again = make_tuning(run)
        assert again.choose() == first
        assert again.passes.rows == []
    other = make_tuning(measurements, held=2000)
    other.choose()
    assert other.passes.rows, "a state of another size leaves other room"


def test_what_fits_beside_the_programs_of_others_is_not_told_to_other_runs(
    measurements: Measurements, tmp_path: Path
) -> None:
    crowded = CountedMemory(ROOM)
    crowded.is_crowded = True
    first = make_tuning(measurements, meter=crowded).choose()
    assert make_tuning(measurements).choose() == first
    other = make_tuning(Measurements(tmp_path / "another run.json", tmp_path))
    other.choose()
    assert other.passes.rows


def test_state_takes_its_room(measurements: Measurements) -> None:
    found = [make_tuning(measurements, held=held).choose().tokens for held in (0, int(ROOM / 2))]
    assert found[0] > 1.5 * found[1]


def test_blocks_are_computed_twice_where_memory_needs_it_and_only_as_many(measurements: Measurements) -> None:
    room = (peak(8, recomputed=2) + peak(8, recomputed=1)) / 2
    tuned = make_tuning(measurements, meter=CountedMemory(room)).choose()
    assert (tuned.recomputed, tuned.blocks) == (2, 4)
    assert tuned.tokens >= 8 * WIDTH
    assert "2 of 4 blocks computed again in the backward pass, to save memory" in str(tuned)


def test_where_nothing_fits_one_row_is_left_to_be_tried(measurements: Measurements) -> None:
    tuned = make_tuning(measurements, meter=CountedMemory(10.0)).choose()
    assert (tuned.recomputed, tuned.tokens) == (4, WIDTH)


def test_a_micro_batch_that_is_set_is_kept_and_made_to_fit(measurements: Measurements) -> None:
    room = (peak(3, recomputed=1) + peak(3)) / 2
    tuned = make_tuning(measurements, meter=CountedMemory(room), micro_batch=3).choose()
    assert (tuned.tokens, tuned.recomputed) == (sys.maxsize, 1)
    assert str(tuned).startswith("3 examples at most, 1 of 4 blocks")


def test_a_sharded_model_is_never_tried_with_more_than_what_is_expected_to_fit(measurements: Measurements) -> None:
    few = make_tuning(measurements, is_sharded=True, expected_tokens=WIDTH).choose()
    assert few.recomputed == 4
    memory = CountedMemory(1.3 * ROOM, capacity=ROOM)
    make_tuning(measurements, is_sharded=True, expected_tokens=8 * WIDTH, meter=memory).choose()
    assert all(taken < memory.total for taken in memory.peaks)


def test_on_a_cpu_the_formula_is_all_there_is(measurements: Measurements) -> None:
    tuned = make_tuning(measurements, meter=None)
    assert tuned.choose() == Tuned(tokens=100, by="by the formula", blocks=4)
    assert tuned.passes.rows == []
    assert str(make_tuning(measurements, meter=None, micro_batch=5).choose()) == "5 examples at most"


# --- compiling --------------------------------------------------------------------------------------------------------


@pytest.fixture
def dear_compiler(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands in for torch.compile, so that it takes no minute: code that computes the same, by a clock on which a pass
    takes 2 s, or what `seconds` says if it is compiled."""

    class DearCompiler(Compiler):
        seconds, now, compiles = 1.0, 0.0, 0

        def __call__(self, forward: Any) -> Any:
            def compiled(*args: Any, **kwargs: Any) -> Any:
                DearCompiler.now += (self.seconds - 2.0) / 4
                self.count += 1
                return forward(*args, **kwargs)

            DearCompiler.compiles += 1
            return compiled

    run = TinyPasses.run

    def timed(passes: TinyPasses, rows: int, *, padded: bool = False) -> None:
        DearCompiler.now += 2.0
        run(passes, rows, padded=padded)

    monkeypatch.setattr(TinyPasses, "run", timed)
    monkeypatch.setattr(tuning.time, "perf_counter", lambda: DearCompiler.now)
    monkeypatch.setattr(tuning, "missing_compiler", lambda device: None)
    monkeypatch.setattr(Tuning, "_may_pay", lambda self: self.flops > 1)
    return DearCompiler(lambda words: None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.0, "blocks compiled: 2.00 × as fast (measured)"),
        (2.5, "blocks not compiled: that would be 0.80 × as fast (measured)"),
    ],
)
def test_blocks_are_compiled_if_that_is_measured_to_be_faster(
    measurements: Measurements, tmp_path: Path, dear_compiler: Any, seconds: float, words: str
) -> None:
    dear_compiler.seconds = seconds
    chosen = {"compile": "auto", "compiler": dear_compiler, "flops": 2.0}
    assert make_tuning(measurements, **chosen).choose().compiled == words
    # Another run goes by the same measurement, however short it is.
    other = Measurements(tmp_path / "another run.json", tmp_path)
    again = make_tuning(other, **(chosen | {"flops": 1.0, "meter": None}))
    assert again.choose().compiled == words
    assert len(again.passes.rows) == (3 if seconds < 2 else 0), "to warm up, not to compare"


def test_a_short_run_does_not_try_to_compile(measurements: Measurements, tmp_path: Path, dear_compiler: Any) -> None:
    short = {"compile": "auto", "compiler": dear_compiler, "flops": 1.0, "meter": None}
    assert make_tuning(measurements, **short).choose().compiled == ""
    assert dear_compiler.compiles == 0
    # Its later attempts do not either, whatever other runs have found meanwhile.
    other = Measurements(tmp_path / "another run.json", tmp_path)
    assert make_tuning(other, **(short | {"flops": 2.0})).choose().compiled.startswith("blocks compiled")
    assert make_tuning(measurements, **short).choose().compiled == ""


def test_what_cannot_be_compiled_is_computed_as_it_is(
    measurements: Measurements, tmp_path: Path, dear_compiler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, forward: Any) -> Any:
        raise RuntimeError("no such header: omp.h")

    monkeypatch.setattr(type(dear_compiler), "__call__", fail)
    chosen = {"compile": "auto", "compiler": dear_compiler, "flops": 2.0, "meter": None}
    assert make_tuning(measurements, **chosen).choose().compiled == "blocks not compiled: that failed"
    with pytest.raises(RuntimeError, match=r"omp\.h"):
        make_tuning(measurements, **(chosen | {"compile": True})).choose()


@pytest.mark.parametrize(
    ("device", "flops", "pays"), [("cpu", 1e30, False), ("cuda", 1e30, True), ("cuda", 1e15, False)]
)
def test_comparing_pays_in_long_runs_on_gpus(measurements: Measurements, device: str, flops: float, pays: bool) -> None:
    assert make_tuning(measurements, device=torch.device(device), flops=flops)._may_pay() is pays


@pytest.mark.skipif(missing_compiler(CPU) is not None, reason="no C++ compiler")
def test_what_computes_without_the_blocks_is_not_said_to_be_compiled(measurements: Measurements) -> None:
    """As encoders do on a CPU, by layers of their own."""
    blocks_of_another_model = Blocks(make_model("llama"))
    tuned = make_tuning(measurements, compile=True, meter=None, blocks=blocks_of_another_model).choose()
    assert tuned.compiled == "blocks not compiled: the model computes without them here"


def test_without_a_compiler_the_run_is_refused_if_it_was_asked_for(
    measurements: Measurements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    with pytest.raises(ConfigError, match=r"trainer\.compile=true, but this model has no list of blocks"):
        make_tuning(measurements, compile=True, blocks=Blocks(torch.nn.Linear(2, 2))).choose()
    with pytest.raises(MissingError, match=r"You set trainer\.compile=true, but there is no compiler \(/nowhere/c\+\+"):
        make_tuning(measurements, compile=True).choose()
    assert make_tuning(measurements, compile="auto", meter=None).choose().compiled == ""


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
@pytest.mark.skipif(missing_compiler(CPU) is not None, reason="no C++ compiler")
@pytest.mark.timeout(1200)
def test_compiled_blocks_compute_the_same_and_are_not_compiled_again_after_the_warm_up(
    measurements: Measurements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CODE_FOLDER, str(tmp_path / "code"))
    said: list[str] = []
    model = make_model("llama", num_hidden_layers=4).train()
    blocks, passes, compiler = Blocks(model), TinyPasses(model), Compiler(said.append)
    chosen = {"blocks": blocks, "passes": passes, "meter": None, "compile": True, "compiler": compiler}
    assert make_tuning(measurements, **chosen).choose().compiled == "blocks compiled"
    compiled_until_now = compiler.count
    assert 0 < compiled_until_now <= 6, "blocks of the same kind share their code"

    def gradients(rows: int, *, padded: bool) -> list[torch.Tensor]:
        model.zero_grad()
        passes.run(rows, padded=padded)
        return [p.grad.clone() for p in model.parameters()]

    batches = ((2, True), (5, False), (7, True), (1, False), (3, True))
    found = []
    for recomputed in (0, 2):
        blocks.recompute(recomputed)
        found.append([gradients(rows, padded=padded) for rows, padded in batches])
    blocks.use(None)
    for (rows, padded), once, twice in zip(batches, *found, strict=True):
        for mine, same, other in zip(once, twice, gradients(rows, padded=padded), strict=True):
            assert torch.equal(mine, same)
            torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
    assert compiler.count == compiled_until_now
    assert said == []
    compiler(lambda tensor: tensor.view(-1))(torch.ones(2, 2))
    assert said == [
        f"Compiling the model's blocks for another kind of batch (compilation {compiler.count} of this attempt)"
    ]


# --- sharded models ---------------------------------------------------------------------------------------------------


class Together:
    """One of several processes, here threads: whoever computes or asks something waits for the others, as processes do
    in which a model is sharded. If one does not come, the others wait in vain."""

    def __init__(self, rank: int, barrier: Barrier, given: dict[int, float]) -> None:
        self.rank, self.barrier, self.given, self.leads = rank, barrier, given, rank == 0

    def share(self, value: Shared) -> Shared:
        return value

    def largest(self, value: float) -> float:
        self.given[self.rank] = value
        self.barrier.wait()
        found = max(self.given.values())
        self.barrier.wait()
        return found


class SharedPasses(TinyPasses):
    def __init__(self, model: Any, barrier: Barrier) -> None:
        super().__init__(model)
        self.barrier = barrier

    def run(self, rows: int, *, padded: bool = False) -> None:
        self.barrier.wait()  # for the weights of all
        super().run(rows, padded=padded)
        self.barrier.wait()  # for the gradients of all


@pytest.mark.timeout(60)
@pytest.mark.parametrize("others", [0.0, 0.5 * ROOM])
def test_memory_runs_out_in_no_process_of_a_sharded_model(tmp_path: Path, others: float) -> None:
    """Also where one of them has less than it should: then none of them tries what that one cannot have."""
    barrier, given = Barrier(2, timeout=20), dict[int, float]()
    tunings = []
    for rank in range(2):
        model = make_model("llama", num_hidden_layers=4).train()
        chosen = {
            "blocks": Blocks(model),
            "passes": SharedPasses(model, barrier),
            "group": Together(rank, barrier, given),
            "meter": CountedMemory(1.1 * ROOM - others * rank, ROOM),
            "expected_tokens": 8 * WIDTH,
            "is_sharded": True,
        }
        tunings.append(make_tuning(Measurements(tmp_path / f"{rank}.json", tmp_path / str(rank)), **chosen))
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(Tuning.choose, tunings)
    assert one == other
    assert all(math.isfinite(taken) for tuning in tunings for taken in tuning.meter.peaks)  # type: ignore[union-attr]
    rows, room = one.tokens // WIDTH, ROOM if not others else 1.1 * ROOM - others
    assert peak(rows) <= room
    assert peak(rows + max(2, rows // 4)) > room, "and not much less than what fits"


@pytest.mark.timeout(60)
def test_where_memory_runs_out_all_the_same_the_process_ends(measurements: Measurements) -> None:
    """So that the launcher ends the others, which wait for it."""
    tuning = make_tuning(measurements, is_sharded=True, meter=CountedMemory(10.0))
    with pytest.raises(torch.OutOfMemoryError, match="a pass over 1 × 16 tokens does not fit"):
        tuning.choose()
