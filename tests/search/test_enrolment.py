"""Points that a command adds, and what it may not ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from passingloop.errors import ConfigError
from passingloop.plan import signature
from passingloop.search.enrolment import add_points, check_search, is_search, sweep_file
from tests.conftest import Compose
from tests.search.made_points import Sweep


def test_points_are_told_apart_by_what_differs(compose: Compose) -> None:
    sweep = Sweep(compose)
    sweep.add(1, 2)
    sweep.add(1, 2)
    entries = sweep.content.entries
    assert {name: entry.values for name, entry in entries.items()} == {
        sweep.run(seed).path.name: {"trainer.seed": seed} for seed in (1, 2)
    }
    assert [entry.config for entry in entries.values()] == [sweep.config(1), sweep.config(2)]
    assert len(sweep.file.path.read_text().splitlines()) == 3, "the second command has added nothing"


def test_a_later_command_says_where_a_point_goes_on(compose: Compose) -> None:
    here = Sweep(compose)
    here.add(1, 2)
    here.decide()
    later = Sweep(compose, "launcher=slurm", "resources.cpus=3")
    later.add(1)
    entries = later.content.entries
    assert [entry.config.launcher.kind for entry in entries.values()] == ["slurm", "shell"]
    assert [entry.point.told for entry in entries.values()] == [0, 0], "what was decided stays"


def test_neither_the_search_nor_a_pause_is_part_of_the_signature(compose: Compose) -> None:
    plain = compose()
    searched = compose("sweep.search=asha", "sweep.eta=2", "trainer.pause_at=0.5")
    assert signature(searched) == signature(plain)


def test_one_after_another_asha_decides_after_each(compose: Compose) -> None:
    configs = [compose("sweep.search=asha", f"trainer.seed={seed}") for seed in (1, 2, 3)]
    width = lambda: sweep_file(configs[0]).read().search.width  # type: ignore[union-attr]  # it is there  # noqa: E731
    add_points(configs, one_by_one=True)
    assert width() == 1
    add_points(configs, one_by_one=False)
    assert width() == 3


def test_rungs_at_which_runs_have_paused_stay(compose: Compose) -> None:
    sweep = Sweep(compose)
    sweep.add(1, 2)
    with pytest.raises(ConfigError, match=r"began with sweep\.eta=3 and sweep\.rungs=3"):
        check_search([Sweep(compose, "sweep.eta=2").config(1)])
    check_search([Sweep(compose, "sweep.search=asha").config(1)])


def test_one_folder_and_no_rerun(compose: Compose) -> None:
    config = Sweep(compose).config(1)
    with pytest.raises(ConfigError, match="name or run_root"):
        check_search([config, replace(config, name="other")])
    with pytest.raises(ConfigError, match="rerun=true"):
        check_search([replace(config, rerun=True)])


def test_a_single_point_is_a_run_unless_there_is_a_search(compose: Compose) -> None:
    sweep = Sweep(compose)
    assert not is_search([sweep.config(1)])
    assert not is_search([compose("trainer.seed=1"), compose("trainer.seed=2")])
    sweep.add(1, 2)
    assert is_search([sweep.config(3)])


def test_which_values_are_better_is_said_where_the_name_does_not_say_it(compose: Compose) -> None:
    def rules(*words: str) -> bool:
        sweep = Sweep(compose, *words)
        check_search([sweep.config(1)])
        sweep.add(1)
        return sweep.content.search.lower_is_better

    with pytest.raises(ConfigError, match=r"sweep\.metric=validation/surprise.*sweep\.goal=min or sweep\.goal=max"):
        rules("sweep.metric=validation/surprise")
    assert rules("sweep.metric=validation/surprise", "sweep.goal=min")
    assert not rules("sweep.metric=validation/surprise", "sweep.goal=max")
    assert rules("sweep.metric=validation/error_rate")
