"""Misspelt keys are found."""

from __future__ import annotations

from passingloop.config.build import unknown_key
from passingloop.config.explain import known_keys
from passingloop.config.settings import (
    RunConfig,
)
from tests.config.strategies import leaves


def test_every_setting_is_found_by_its_last_name_and_with_a_slip() -> None:
    known = known_keys()
    for key, _, _ in leaves(RunConfig):
        section, _, last = key.rpartition(".")
        assert key in unknown_key(f"nowhere.{last}", known)
        slip = f"{section}.{last[:-1]}_{last[-1]}" if section else f"{last[:-1]}_{last[-1]}"
        if slip not in known and len(last) > 4:
            assert "Did you mean" in unknown_key(slip, known), slip
