from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passingloop.errors import ConfigError
from passingloop.simulation.traces.csv_trace import csv_text
from passingloop.simulation.traces.pseudonyms import kept_key, pseudonymised, random_key
from passingloop.simulation.traces.trace import Trace
from tests.simulation.traces.made import few_examples, job, trace, traces


@few_examples
@given(traces, st.binary(min_size=16, max_size=40))
def test_names_are_others_one_for_one_and_the_same_for_the_same_key(made: Trace, key: bytes) -> None:
    hidden = pseudonymised(made, key)
    for before, after in zip(made.jobs, hidden.jobs, strict=True):
        assert re.fullmatch("u[0-9a-f]{12}", after.user)
        assert re.fullmatch("a[0-9a-f]{12}", after.account)
        assert job(**vars(after) | {"user": before.user, "account": before.account}) == before
    pairs = {(before.user, after.user) for before, after in zip(made.jobs, hidden.jobs, strict=True)}
    assert len(pairs) == len({one.user for one in made.jobs})
    assert hidden.jobs == pseudonymised(made, key).jobs
    assert {one.user for one in hidden.jobs}.isdisjoint({one.user for one in pseudonymised(made, key + b"x").jobs})


def test_no_name_is_left_in_the_trace() -> None:
    hidden = csv_text(pseudonymised(trace(job(user="ada.l", account="vision")), random_key()))
    assert "ada" not in hidden
    assert "vision" not in hidden


def test_it_is_said_which_names_are_left() -> None:
    named = trace(job(qos="vision-deadline"), job(qos=""), job(qos="high"))
    assert "QOS keep their names: high, vision-deadline." in pseudonymised(named, random_key()).notes[-1]
    assert not any("QOS" in note for note in pseudonymised(trace(job()), random_key()).notes)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    first = kept_key(path)
    assert len(first) == 32
    assert kept_key(path) == first
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_others_know_or_guess_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    kept_key(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read the key"):
        kept_key(path)
    path.write_bytes(b"42")
    with pytest.raises(ConfigError, match="a key of 2 bytes can be guessed"):
        kept_key(path)
    with pytest.raises(ConfigError, match="the key cannot be written: No such file"):
        kept_key(tmp_path / "no" / "key")
