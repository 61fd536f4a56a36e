"""The keys of the file."""

from __future__ import annotations

import re

import pytest

from passingloop.policy import fields, site_lines
from tests.conftest import ROOT

SCHEMAS = {"QOS": fields.QOS, "account": fields.ACCOUNT, "user": fields.USER, "seat": fields.SEAT}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_value_is_shown_with_the_key_that_reads_it(name: str) -> None:
    schema = SCHEMAS[name]
    for key, (option, kind) in schema.keys().items():
        value = "120" if kind.shown("120") != "120" else "2"
        shown = schema.shown(option, value)
        assert shown == (key, kind.shown(value))


def test_minutes_that_make_no_hours_are_shown_as_minutes() -> None:
    assert fields.QOS.shown(("GrpTRESMins", "gres/gpu"), "300030") == ("gpu_hours", "5000.5")
    assert fields.QOS.shown(("GrpTRESMins", "gres/gpu"), "100") == ("tres_minutes.gres/gpu", "100")
    assert fields.QOS.shown(("MaxTRESPU", "gres/gpu:h100"), "2") == ("max_tres_per_user.gres/gpu:h100", "2")


def test_every_key_is_on_the_page() -> None:
    page = (ROOT / "docs" / "how-to" / "administer.md").read_text()
    named = set(re.findall(r"`(\w+)`", page))
    keys = {field.key for schema in SCHEMAS.values() for field in schema.fields}
    keys |= {*site_lines.PARTITION_KEYS, *site_lines.NODE_KEYS}
    assert keys - named == set()
    options = {field.option for schema in SCHEMAS.values() for field in schema.resources}
    assert [option for option in options if not re.search(rf"\b{option}\b", page)] == []
