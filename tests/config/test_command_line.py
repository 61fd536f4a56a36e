"""Words of a command line are quoted where Hydra would read them otherwise than they are meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from passingloop.config.command_line import hydra_word


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("data.train=~/a.csv", 'data.train="~/a.csv"'),
        ("+run_root=~other/x y", '+run_root="~other/x y"'),
        ("data.train=/x/day=1/*.csv", 'data.train="/x/day=1/*.csv"'),
        ("data.text=Größe", 'data.text="Größe"'),
        ("data.text=a;b", 'data.text="a;b"'),
        ("data.train=train[:10%]+test", 'data.train="train[:10%]+test"'),
        ("data.train=part[0-9].csv", 'data.train="part[0-9].csv"'),
        *[
            (word, word)
            for word in ("data.train=/a/b-c_d.csv", "optim.lr=1e-4", "~optim", "=3", "-m", "--cfg", "name=")
        ],
        *[
            (word, word)
            for word in ('run_root="~/x"', "data.train=~/a,~/b", "x=${a=b}", "x=[~]", "x=[a,b]", "x='ü'", "x={a=1}")
        ],
    ],
)
def test_what_can_only_be_read_one_way_needs_no_quotes(word: str, quoted: str) -> None:
    assert hydra_word(word) == quoted


WORDS = [
    "data.train=SELECT text, label FROM t WHERE x='a'",
    "data.train=select \"a\", 'it''s \\' from t where x like 'a\\\\' and y=\"b\\\"",
    "data.sources.shop.test=with x as (select 1) select {a:1}, [b] from x",
    "data.connection=Driver={PostgreSQL Unicode};Server=db,1433;Database=a b",
    "+data.train=SELECT a\nFROM b",
    "data.validation=SELECT '\\'",
    "data.train=SELECT 1 = 1 AND 'ü' ~ $1::int -- é",
]


@pytest.mark.parametrize("word", WORDS)
def test_queries_and_connection_strings_are_taken_as_typed(word: str) -> None:
    override = OverridesParser.create().parse_override(hydra_word(word))
    assert override.value() == word.partition("=")[2]


def test_quotes_of_ones_own_stay(compose: Callable[..., object]) -> None:
    typed = """data.train=["SELECT 'a' AS text, label FROM t","b"]"""
    config = compose("data=sql", "data.connection='Driver=x'", typed)
    assert config.data.train == ("SELECT 'a' AS text, label FROM t", "b")  # type: ignore[attr-defined]
