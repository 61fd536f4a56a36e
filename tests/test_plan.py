"""The signature covers what is learned, all of it, and nothing else; the folder and the processes follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from passingloop.config.settings import RunConfig
from passingloop.errors import ConfigError
from passingloop.plan import LEARNED, processes, rerun_folder, run_folder, signature
from passingloop.rundir.choice import choose_run
from tests.config.strategies import leaves
from tests.conftest import Compose, composed

NOT_LEARNED = {
    *("trainer.micro_batch", "trainer.kernels", "trainer.compile", "trainer.eval_every", "trainer.log_every"),
    "trainer.pause_at",
    *("data.password_env", "data.refresh", "data.credentials", "data.streaming"),
}
"""Settings of learned sections that change speed, how one gets at the data, or how closely a run is watched."""

BASES = (
    ("data=files", "data.train=a.csv", "adapter=lora", "trainer.epochs=2"),
    ("data=files", "data.train=a.csv", "adapter=lora", "trainer.steps=20", "trainer.batch_tokens=99"),
    ("data=files", "data.train=a.csv", "adapter=lora", "task=causal_lm", "data.messages=chat"),
    ("data=gcs", "data.train=gs://b/a.csv", "adapter=lora", "optim=adafactor", "sweep.search=asha", "sweep.points=5"),
    ("data=files", "data.train=a.csv", "adapter=lora", "task=multilabel", "data.label_separator=;"),
    ("data=hub", "data.train=train", "data.path=a/b", "adapter=lora"),
    ("data=sql", "data.train=t", "data.dsn=d", "adapter=lora"),
    ("data=sql", "data.train=t", "data.connection=Driver=d", "adapter=lora"),
    (
        "data=mix",
        "+data@data.sources.a=stdlib_docs",
        "+data@data.sources.b=stdlib_docs",
        "+data.weights.a=2",
        "adapter=lora",
    ),
)
"""Together they let every setting be changed by itself. LoRA is on: without it its settings do not count."""

SETTINGS = [name for name, _, _ in leaves(RunConfig)]
HINTS = {name: hint for name, hint, _ in leaves(RunConfig)}


def others(hint: Any, value: Any) -> Iterable[Any]:
    """Other values of the type `hint` than `value`."""
    options = get_args(hint) or (hint,)
    words = [word for option in (hint, *options) if get_origin(option) is Literal for word in get_args(option)]
    yield from (word for word in words if word != value)
    match value:
        case bool():
            yield not value
        case int() | float():
            yield from (value + 1, value / 2)
        case str() if get_origin(hint) is not Literal:
            yield value + "x"
        case Path():
            yield value / "x"
        case {"a": float(weight)}:
            yield {"a": weight + 1}
        case {"a": first, "b": _}:
            yield {"a": first}
        case Mapping():
            yield {**value, "constraint": "a100"}
        case tuple():
            yield tuple(part / 2 if isinstance(part, float) else part + "x" for part in value) or ("x",)
        case None:
            yield 5.0 if float in options else 5 if int in options else "x"
    if type(None) in options and value is not None:
        yield None


def changed(config: RunConfig, name: str) -> RunConfig | None:
    """`config` with another value for the setting `name`, if it has one that goes with the others."""
    section, _, key = name.rpartition(".")
    holder = getattr(config, section) if section else config
    if key not in {spec.name for spec in dataclasses.fields(holder)}:  # of another choice
        return None
    for value in others(HINTS[name], getattr(holder, key)):
        try:
            new = dataclasses.replace(holder, **{key: value})
            return dataclasses.replace(config, **{section: new}) if section else new
        except ConfigError:
            continue
    return None


@pytest.fixture(scope="module")
def bases() -> list[RunConfig]:
    return [composed(Path("/work"), *words) for words in BASES]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_signature_depends_on_what_is_learned_only(bases: list[RunConfig], name: str) -> None:
    learned = name.partition(".")[0] in LEARNED and name not in NOT_LEARNED
    pairs = [(base, changed(base, name)) for base in bases]
    tried = [signature(base) != signature(other) for base, other in pairs if other is not None]
    if name not in ("data.source", "optim.kind"):  # they have no other value by themselves
        assert tried, f"no base in BASES lets {name} be changed"
    assert tried == [learned] * len(tried)


def test_the_sections_are_divided_as_the_contract_says() -> None:
    sections = {name.partition(".")[0] for name in SETTINGS if "." in name}
    assert set(LEARNED) == {"task", "model", "adapter", "data", "trainer", "optim"}
    assert sections - set(LEARNED) == {
        "launcher",
        "resources",
        "cluster",
        "sweep",
        "tracking",
        "checkpoint",
        "export",
        "retry",
        "watch",
        "notify",
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((), ("trainer.epochs=5",)),
        ((), ("trainer.epochs=5.0", "trainer.batch_size=32", "optim.lr=0.0003")),
        ((), ("data=stdlib_docs", "model=minilm", "optim=adamw", "name=other", "run_root=/x", "cache_root=/y")),
        ((), ("adapter=none", "adapter.rank=3", "adapter.alpha=1", "adapter.dropout=0.5")),
        ((), ("resources=cpu", "resources.cpus=3", "tracking=none", "checkpoint.every_steps=2", "rerun=true")),
        (("data=files", "data.train=a.csv"), ("data=files", "data.train=[./a.csv]")),
        (("data=files", "data.train=a.csv"), ("data=files", "data.train={work}/a.csv")),
    ],
)
def test_the_same_said_otherwise_is_the_same_run(
    compose: Compose, work: Path, one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert signature(compose(*one)) == signature(compose(*[word.format(work=work) for word in other]))


@pytest.mark.parametrize(
    "other", [("data=files", "data.train=a.csv"), ("trainer.steps=5",), ("adapter=lora",), ("trainer.batch_tokens=32",)]
)
def test_what_differs_is_another_run(compose: Compose, other: tuple[str, ...]) -> None:
    assert signature(compose()) != signature(compose(*other))


def test_the_quickstarts_signature(compose: Compose) -> None:
    assert signature(compose()) == "6fd719356d9f", (
        "The signature of the quickstart has changed: no run that was begun before can be continued, or is known to be "
        "done. If a new learned setting or a new default is the reason and is worth that, put the new value here and "
        "say so in CHANGELOG.md."
    )


@pytest.mark.parametrize(("number", "suffix"), [(1, ""), (2, ".2"), (11, ".11")])
def test_the_folder_of_a_run(compose: Compose, number: int, suffix: str) -> None:
    config = compose("run_root=/r", "name=n")
    assert rerun_folder(run_folder(config), number) == Path(f"/r/n/{signature(config)}{suffix}")


@pytest.mark.parametrize(
    ("gpus", "tasks", "visible", "expected"),
    [
        ("auto", "auto", 0, 1),
        ("auto", "auto", 4, 4),
        ("auto", 1, 4, 4),
        ("auto", 4, 4, 4),
        ("auto", 3, 0, 3),
        (0, "auto", 4, 1),
        (0, 2, 4, 2),
        (2, "auto", 4, 2),
        (2, 3, 4, "You set resources.tasks=3 with 2 GPUs"),
        ("auto", 3, 4, "set resources.gpus=3"),
    ],
)
def test_one_process_per_gpu(compose: Compose, gpus: Any, tasks: Any, visible: int, expected: int | str) -> None:
    config = compose(f"resources.gpus={gpus}", f"resources.tasks={tasks}")
    if isinstance(expected, int):
        assert processes(config, visible) == expected
    else:
        with pytest.raises(ConfigError, match=expected):
            processes(config, visible)


GOOD = ["a", "A.b_c-9", "...", ".hidden", "-x", "x" * 64, "123", "007"]
BAD = ["", ".", "..", "a/b", "../a", "/a", "a b", "ü", "a\n", "x" * 65, "a\0", "~", "a:b", "*", "\\"]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name(compose: Compose, name: str) -> None:
    assert run_folder(dataclasses.replace(compose(), name=name)).parent.name == name
    assert compose(f"name='{name}'").name == name


@pytest.mark.parametrize("name", BAD)
def test_a_bad_name(compose: Compose, name: str) -> None:
    with pytest.raises(ConfigError, match="name must be 1 to 64 letters, digits"):
        compose(f"name='{name}'".replace("\\", "\\\\"))


@given(name=st.text(max_size=70) | st.text("./-_ab\n", max_size=6))
@hypothesis_settings(deadline=None)
def test_every_accepted_name_stays_inside_run_root(bases: list[RunConfig], name: str) -> None:
    limit = next(limit for key, _, limit in leaves(RunConfig) if key == "name")
    assert limit is not None
    if limit.holds(name):
        folder = run_folder(dataclasses.replace(bases[0], name=name, run_root=Path("/runs")))
        assert folder.parent.parent == Path("/runs")
        assert ".." not in folder.parts
        assert folder.resolve().is_relative_to("/runs")


def test_a_name_that_leads_elsewhere_is_refused(compose: Compose, work: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (work / "runs").mkdir()
    (work / "runs" / "trap").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"is a link to .*elsewhere.*, outside run_root="):
        choose_run(compose("name=trap"))


def test_a_linked_run_root_is_fine(compose: Compose, work: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (work / "runs").symlink_to(tmp_path / "scratch")
    run = choose_run(compose())
    assert run.path.parent.parent == work / "runs"
    assert (tmp_path / "scratch" / "classification").is_dir()
