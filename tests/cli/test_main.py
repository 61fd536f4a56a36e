"""The command as a whole: its help, and a verb that it has not."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Verb


@pytest.mark.parametrize("words", [[], ["--help"], ["status", "--help"], ["logs", "--help"], ["--version"]])
def test_help(verb: Verb, words: list[str]) -> None:
    done = verb(*words)
    assert (done.code, done.stderr) == (0, "")
    assert "passingloop" in done.stdout


def test_a_verb_that_is_none(verb: Verb) -> None:
    done = verb("stauts")
    assert done.code == 2
    assert done.stderr == ("error: There is no verb stauts. Did you mean status? `passingloop --help` lists them.\n")
