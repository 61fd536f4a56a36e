"""The file of samples: what is written is read, and what is torn, or could not be written, does no harm."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.errors import OtherVersion
from passingloop.rundir.directory import RunDir
from passingloop.rundir.samples import (
    THROTTLE_REASONS,
    Device,
    GpuSample,
    NodeSamples,
    Sample,
    SamplesFile,
    read_samples,
    recent_samples,
)
from tests.conftest import Disk

MIB = 2**20
GPU = GpuSample(busy=0.97, sm=0.71, tensor=0.38, memory=80_530 * MIB, power=612.0, temperature=58.0, throttled=())
SAMPLE = Sample(time=1_796_000_000.5, seconds=5.0, cpus=3.87, memory=9120 * MIB, read=2210e3, written=0.0)
DEVICES = (Device(name="NVIDIA H200", uuid="GPU-1", memory=141 * 1024 * MIB), Device(name="NVIDIA H200", uuid="GPU-2"))
NODE = NodeSamples(attempt=1, node="n1", devices=DEVICES, cpus=8, memory_limit=64 * 1024 * MIB)


def sample(number: int, **values: float) -> Sample:
    gpus = (GPU, GpuSample(busy=number / 100))
    return Sample(**{"time": 1000.0 + 5 * number, "seconds": 5.0, "gpus": gpus, **values})  # type: ignore[arg-type]


def write(run: RunDir, node: NodeSamples, samples: list[Sample]) -> Path:
    run.samples.mkdir(exist_ok=True)
    path = run.samples_of(node.attempt, node.node)
    with SamplesFile(path, node) as file:
        for each in samples:
            file.append(each.to_row())
    return path


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


shares = st.none() | st.integers(0, 100).map(lambda percent: percent * 0.01)
numbers = st.none() | st.integers(0, 2000).map(float)
sizes = st.none() | st.integers(0, 2**20).map(lambda count: count * MIB)
reasons = st.none() | st.sets(st.sampled_from(list(THROTTLE_REASONS))).map(
    lambda chosen: tuple(name for name in THROTTLE_REASONS if name in chosen)
)
gpus = st.builds(
    GpuSample,
    busy=shares,
    sm=shares,
    tensor=shares,
    memory=sizes,
    power=numbers,
    temperature=numbers,
    throttled=reasons,
)


@given(gpus, st.none() | st.integers(0, 9999).map(lambda count: count / 100), sizes, numbers)
def test_a_sample_is_read_as_it_was_written(
    gpu: GpuSample, cpus: float | None, memory: int | None, rate: float
) -> None:
    """Zero stays zero, and None stays None."""
    scaled = None if rate is None else rate * 1000
    written = Sample(time=1.5, seconds=5.0, gpus=(gpu,), cpus=cpus, memory=memory, read=scaled, written=scaled)
    assert Sample.from_row(written.to_row()) == written


def test_samples_of_attempts_and_nodes(run: RunDir) -> None:
    second = NodeSamples(attempt=2, node="gpu-7.cluster", cpus=4)
    write(run, second, [SAMPLE])
    write(run, NODE, [sample(1), sample(2)])
    (run.samples / "notes.txt").write_text("not ours")
    first, other = read_samples(run)
    assert first == NodeSamples.from_header(NODE.to_header(), [sample(1), sample(2)])
    assert other == NodeSamples.from_header(second.to_header(), [SAMPLE])
    assert read_samples(run, 2) == [other]
    assert read_samples(run, 3) == []


def test_a_run_without_samples(run: RunDir) -> None:
    assert read_samples(run) == []
    assert recent_samples(run, 1, 60.0) == []


def test_a_torn_last_line_is_ignored_and_the_next_one_is_whole(run: RunDir) -> None:
    path = write(run, NODE, [sample(1), sample(2)])
    whole = path.read_bytes()
    for cut in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:cut])
        (torn,) = read_samples(run)
        assert torn.samples in ((), (sample(1),), (sample(1), sample(2)))
        write(run, NODE, [sample(3)])
        (after,) = read_samples(run)
        assert after.samples == (*torn.samples, sample(3))


@pytest.mark.parametrize(
    "line",
    ["", "null", "7", "[]", "[1,2,3]", '["a",5,null,null,null,null,[],[]]', '{"of": "a later version"}', "\\xff"],
)
def test_lines_that_are_no_samples_are_ignored(run: RunDir, line: str) -> None:
    path = write(run, NODE, [sample(1)])
    with path.open("a") as file:
        file.write(f"{line}\n")
    write(run, NODE, [sample(2)])
    assert read_samples(run)[0].samples == (sample(1), sample(2))


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"{}\n", b'{"version": 1}\n', b"[1]\n"])
def test_a_file_that_does_not_say_what_is_sampled_is_left_out(run: RunDir, content: bytes) -> None:
    run.samples.mkdir()
    run.samples_of(1, "n1").write_bytes(content)
    assert read_samples(run) == []


def test_a_later_version_is_refused_with_a_remedy(run: RunDir) -> None:
    path = write(run, NODE, [sample(1)])
    path.write_text(path.read_text().replace('"version":1', '"version":2'))
    with pytest.raises(OtherVersion, match=re.escape("has format version 2, but this passingloop reads version 1")):
        read_samples(run)


def test_a_full_disk_costs_samples_and_nothing_else(disk: Disk) -> None:
    """Also the first line can be late."""
    run = RunDir(disk.folder)
    run.samples.mkdir()
    disk.fill()
    with SamplesFile(run.samples_of(1, "n1"), NODE) as file:
        for number in range(3):
            assert file.append(sample(number).to_row()) > 50
        disk.clear()
        file.append(sample(3).to_row())
        for number in range(4, 200):  # over the end of a page, at which a full disk tears a line
            file.append(sample(number).to_row())
        disk.fill()
        file.append(sample(200).to_row())
        for number in range(201, 300):
            file.append(sample(number).to_row())
        disk.clear()
        file.append(sample(300).to_row())
    times = [each.time for each in read_samples(run)[0].samples]
    assert times[:197] == [sample(number).time for number in range(3, 200)]
    assert times[-1] == sample(300).time
    assert times == sorted(set(times))


def test_the_newest_samples_are_read_from_the_end(run: RunDir) -> None:
    path = write(run, NODE, [sample(number) for number in range(3000)])
    os.truncate(path, path.stat().st_size - 3)
    (recent,) = recent_samples(run, 1, 60.0)
    assert recent.devices == DEVICES
    assert [each.time for each in recent.samples] == [sample(number).time for number in range(2987, 2999)]


def test_recent_is_by_how_long_samples_stand_for_not_by_the_clock(run: RunDir) -> None:
    """The clock of the node was set back by an hour, and then forward by a day."""
    jumps = [
        sample(number, time=1000.0 + 5 * number - 3600 * (number > 5) + 86400 * (number > 8)) for number in range(12)
    ]
    write(run, NODE, jumps)
    (recent,) = recent_samples(run, 1, 40.0)
    assert [each.time for each in recent.samples] == [each.time for each in jumps[4:]]
