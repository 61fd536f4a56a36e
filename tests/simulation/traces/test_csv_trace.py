from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from passingloop.errors import DataError
from passingloop.simulation.traces.csv_trace import csv_text, csv_trace, read_csv_trace
from passingloop.simulation.traces.trace import Trace
from tests.simulation.traces.made import facts, few_examples, job, traces

HEADER = "submit_s,duration_s,gpus,group"


@few_examples
@given(traces)
def test_what_is_written_is_read(trace: Trace) -> None:
    assert facts(csv_trace(csv_text(trace), "x.csv")) == facts(trace)


def test_the_columns_of_a_published_week() -> None:
    read = csv_trace(f"{HEADER}\n132,67,1,11cb48\n40,7205,8,6c71a0\n", "jobs.csv")
    assert read.jobs == (
        job(number=0, submit_s=40, duration_s=7205, gpus=8, cpus=8, user="6c71a0", account="6c71a0"),
        job(number=1, submit_s=132, duration_s=67, gpus=1, cpus=1, user="11cb48", account="11cb48"),
    )
    assert read.notes == ()


def test_further_columns_in_any_order_and_empty_fields() -> None:
    header = "user,state,gpus,group,submit_s,duration_s,qos,limit_s,job_id"
    read = csv_trace(f"{header}\nada,Pass,2,g,0,9,production,60,7\n,,1,g,1,9,,,8\n", "x.csv")
    assert read.jobs == (
        job(gpus=2, cpus=2, user="ada", account="g", duration_s=9, qos="production", limit_s=60),
        job(number=1, submit_s=1, user="g", account="g", duration_s=9),
    )
    assert read.notes == ("Columns that are not used: job_id.",)


@pytest.mark.parametrize(
    ("word", "state"),
    [("Killed", "cancelled"), ("CANCELLED by 1000", "cancelled"), ("NODE_FAIL", "failed"), ("TIMEOUT", "timeout")],
)
def test_states_of_published_traces(word: str, state: str) -> None:
    assert csv_trace(f"{HEADER},state\n0,9,1,g,{word}\n", "x.csv").jobs[0].state == state


def test_a_trace_with_dates_begins_with_its_first_day() -> None:
    read = csv_trace(f"{HEADER}\n{86400 * 20_000 + 5},9,1,g\n", "x.csv")
    assert read.jobs[0].submit_s == 5
    assert read.notes == ("The trace begins at second 1728000000 of the file.",)


@pytest.mark.parametrize(("last", "length"), [(0, 1), (50, 50), (90_000, 90_000), (90_001, 93_600), (604_331, 604_800)])
def test_the_length_of_a_trace(last: int, length: float) -> None:
    assert csv_trace(f"{HEADER}\n{last},9,1,g\n0,9,1,g\n", "x.csv").length_s == length


def test_what_cannot_be_replayed_is_left_out_and_counted() -> None:
    rows = "0,0,1,g,completed,\n0,0,1,g,cancelled,\n0,0,1,g,cancelled,30\n0,9,1,g,failed,\n"
    read = csv_trace(f"{HEADER},state,patience_s\n{rows}", "x.csv")
    assert [(one.state, one.patience_s) for one in read.jobs] == [("cancelled", 30), ("failed", None)]
    assert read.notes == (
        "1 jobs ended at once (duration_s 0) and are left out.",
        "1 jobs were cancelled while they waited, nothing says when (patience_s), and are left out.",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.csv: line 1: the column submit_s is missing. The file is empty."),
        ("submit_s,duration_s,gpus\n", "line 1: the column group is missing. The first line has submit_s, duration_s,"),
        (f"{HEADER},stat\n", "line 1: there is no column stat. Did you mean state?"),
        (f"{HEADER},gpus\n", "line 1: the column gpus is there twice."),
        (f"{HEADER}\n1,2,3\n", "line 2: there are 3 fields, but 4 columns."),
        (f"{HEADER}\n\n-1,2,1,g\n", "line 3: submit_s is -1. It must be 0 or more seconds."),
        (f"{HEADER}\n1,long,1,g\n", "line 2: duration_s is 'long', which is no number of seconds."),
        (f"{HEADER}\n1,nan,1,g\n", "line 2: duration_s is nan. It must be"),
        (f"{HEADER}\n1,2,1.5,g\n", "line 2: gpus is '1.5'. It must be a whole number"),
        (f"{HEADER}\n1,2,1,a group\n", "line 2: group is 'a group'. It must be a name that Slurm takes"),
        (f"{HEADER},state\n1,2,1,g,done\n", "line 2: state is 'done'. It must be one of canceled, cancelled"),
        (f'{HEADER}\n1,2,1,"g\n', "it is no CSV"),
        (f"{HEADER}\n", "x.csv has no job"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, message: str) -> None:
    with pytest.raises(DataError) as raised:
        csv_trace(text, "x.csv")
    assert message in str(raised.value)


def test_all_wrong_lines_are_said_at_once_up_to_ten() -> None:
    with pytest.raises(DataError) as raised:
        csv_trace(HEADER + "\n" + "1,2,x,g\n" * 13, "x.csv")
    lines = str(raised.value).splitlines()
    assert len(lines) == 11
    assert lines[9].startswith("x.csv: line 11: gpus")
    assert lines[10] == "3 more lines are wrong."


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file or directory"):
        read_csv_trace(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(f"{HEADER}\n1,2,1,gr\xfcn\n".encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8"):
        read_csv_trace(tmp_path / "latin.csv")


def test_a_byte_order_mark_of_a_spreadsheet(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"{HEADER}\r\n1,2,1,g\r\n", encoding="utf-8-sig")
    assert len(read_csv_trace(tmp_path / "x.csv").jobs) == 1
