from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from passingloop.errors import ConfigError, DataError
from passingloop.simulation.traces.offered_load import offered_load
from passingloop.simulation.traces.trace_choice import COMMON, HELP, OF_SACCT, OF_SYNTHETIC, read_trace

HEADER = "submit_s,duration_s,gpus,group\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two days of jobs, every ten minutes one."""
    path = tmp_path / "jobs.csv"
    path.write_text(HEADER + "".join(f"{600 * n},{600 + 7 * (n % 50)},1,g{n % 3}\n" for n in range(288)))
    return path


def test_a_file_as_it_is(file: Path) -> None:
    trace = read_trace(str(file), gpus=4)
    assert len(trace.jobs) == 288
    assert trace.name == str(file)


def test_all_that_can_be_done_with_a_file(file: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.csv"
    words = f"{file},days=1,first_day=2,load=0.5,users=9,interactive=0.1,scavenger=0.5,limits=3-0,longest=0:15:00"
    trace = read_trace(f"{words},qos.=normal,pseudonyms=yes,seed=3,save={saved}".replace("scavenger=0.5,", ""), gpus=4)
    assert trace.length_s == 86400
    assert offered_load(trace, 4) == pytest.approx(0.5, rel=0.02)
    assert len({one.user for one in trace.jobs}) == 9
    assert max(one.duration_s for one in trace.jobs) == 900
    assert all(one.limit_s and one.user.startswith("u") for one in trace.jobs)
    assert {one.qos for one in trace.jobs} == {"normal"}
    assert read_trace(str(saved), gpus=4).jobs == trace.jobs
    kinds = Counter(one.qos for one in read_trace(words, gpus=4).jobs)
    assert set(kinds) == {"", "interactive", "scavenger"}
    assert kinds["interactive"] == round(0.1 * kinds.total())


def test_the_same_words_give_the_same_trace_and_another_seed_another(file: Path) -> None:
    words = f"{file},users=9,load=0.4"
    assert read_trace(words, 4) == read_trace(words, 4)
    assert read_trace(words, 4).jobs != read_trace(f"{words},seed=1", 4).jobs


def test_a_generated_trace() -> None:
    trace = read_trace("synthetic:helios,load=0.6,days=1,users=20,groups=4,interactive=0.1", gpus=128)
    assert offered_load(trace, 128) == pytest.approx(0.6, rel=0.02)
    assert len({one.account for one in trace.jobs}) == 4
    assert any(one.qos == "interactive" for one in trace.jobs)


def test_a_saved_answer_of_sacct(tmp_path: Path) -> None:
    saved = tmp_path / "month.txt"
    saved.write_text(
        "JobID|User|Account|AllocTRES|Submit|Start|End|State\n"
        "7|ada|a|cpu=1,gres/gpu=1|2026-10-01T08:00:00|2026-10-01T08:00:10|2026-10-01T09:00:10|COMPLETED\n"
        "8|bob|b|cpu=1,gres/gpu=1|2026-10-03T08:00:00|2026-10-03T08:00:10|2026-10-03T08:30:10|FAILED\n"
    )
    assert [one.user for one in read_trace(f"sacct,file={saved}", 4).jobs] == ["ada", "bob"]
    assert [one.user for one in read_trace(f"sacct,file={saved},days=1", 4).jobs] == ["ada"]
    part = read_trace(f"sacct,file={saved},since=2026-10-03,until=2026-10-04", 4)
    assert [(one.user, one.submit_s) for one in part.jobs] == [("bob", 8 * 3600)]
    assert part.length_s == 86400


def test_pseudonyms_with_a_key_are_the_same_each_time(file: Path, tmp_path: Path) -> None:
    words = f"{file},pseudonyms={tmp_path / 'key'}"
    assert read_trace(words, 4) == read_trace(words, 4)
    assert {one.user for one in read_trace(words, 4).jobs}.isdisjoint({"g0", "g1", "g2"})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("none.csv", "there is no such file. Name a CSV file, or one of sacct, synthetic:helios"),
        ("saccct", "there is no such file. Did you mean sacct?"),
        ("synthetic:phily", "Did you mean synthetic:philly?"),
        ("synthetic:borg", "There are helios, philly, acme."),
        ("", "there is no such file. Name a CSV file, or one of sacct"),
        ("FILE,days=1,days=2", "days= is there more than once. Give it one value."),
        ("FILE,laod=1", "there is no laod= for FILE. Did you mean load=?"),
        ("FILE,groups=3", "there is no groups= for FILE. There are days, first_day, load"),
        ("FILE,load=95", "load=95 is not a number from 0.001 to 3. Write for example load=0.95."),
        ("FILE,load=high", "load=high is not a number"),
        ("FILE,users=2.5", "users=2.5 is not a whole number from 1 on."),
        ("FILE,interactive=10", "interactive=10 is not a number from 0 to 1."),
        ("FILE,limits=3days", "limits=3days is no length of time. Write for example limits=12:00:00"),
        ("FILE,save=/no/where/x.csv", "save=/no/where/x.csv: the file cannot be written: No such file"),
        ("sacct,since=monday", "since=monday is no date. Write for example since=2026-11-01"),
        ("sacct,since=2026-11-02,until=2026-11-01", "since= is not before until="),
        ("sacct,cpu_jobs=1", "cpu_jobs=1 is neither yes nor no."),
        ("sacct,file=/no/where.txt", "/no/where.txt cannot be read: No such file or directory."),
    ],
)
def test_what_is_wrong_is_said_with_the_words(words: str, message: str, file: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        read_trace(words.replace("FILE", str(file)), gpus=4)
    assert message.replace("FILE", str(file)) in str(raised.value)


def test_no_job_left(file: Path) -> None:
    with pytest.raises(DataError, match="no job is left to replay"):
        read_trace(f"{file},first_day=9", gpus=4)


def test_the_help_names_every_key_and_stands_in_the_documentation() -> None:
    assert HELP in (Path(__file__).parents[3] / "docs" / "reference" / "traces.md").read_text()
    assert all(f"{key}=" in HELP for key in (*COMMON, *OF_SACCT, *OF_SYNTHETIC))


@pytest.mark.parametrize("load", [0.3, 0.95])
def test_the_week_of_philly(load: float) -> None:
    """Skips where the published week is not at hand."""
    week = Path(__file__).parents[4] / "shared" / "data" / "philly-week" / "jobs.csv"
    if not week.exists():
        pytest.skip(f"{week} is not there")
    trace = read_trace(f"{week},load={load},users=120,interactive=0.1", gpus=512)
    assert trace.length_s == 7 * 86400
    assert offered_load(trace, 512) == pytest.approx(load, rel=0.02)
    assert len({one.user for one in trace.jobs}) == 120
    assert len({one.account for one in trace.jobs}) == 12
    single = sum(one.gpus == 1 for one in trace.jobs)
    assert sum(one.qos == "interactive" for one in trace.jobs) == round(0.1 * single)
