"""A password that is typed or written into a configuration is refused, and appears nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from passingloop.config.passwords import refuse_passwords
from passingloop.errors import ConfigError
from tests.conftest import Finished

Command = Callable[..., Finished]
SECRET = "hunter2"

TYPED = [
    ["data=sql", f"data.password={SECRET}"],
    ["data=sql", f"+data.pwd={SECRET}"],
    ["data=sql", f"data.connection=Driver=x;Server=y;UID=z;PWD={SECRET}"],
    ["data=sql", f"data.connection=Driver={{x}};Password = {{{SECRET}}}"],
    ["data=sql", f"data.dsn=shop;pwd={SECRET}"],
    ["data=sql", f"data.connection=postgresql://me:{SECRET}@db/shop"],
    ["data=sql", f"data.train=postgresql://me:{SECRET}@db/shop"],
    ["data=mix", f"+data.sources={{a:{{password:{SECRET}}}}}"],
    ["data=mix", f"data.sources.shop.connection=Driver=x;PWD={SECRET}"],
    [f"data.connection=PWD={SECRET}", "optim.lrr=1"],
    [f"data.connection=(PWD={SECRET}", "--cfg", "job"],
    ["-m", f"data.connection=PWD={SECRET},PWD=b"],
]


@pytest.mark.parametrize("words", TYPED, ids=lambda words: " ".join(words)[:60])
@pytest.mark.parametrize("traceback", ["0", "1"])
def test_a_typed_password_is_refused(
    main_here: Command, monkeypatch: pytest.MonkeyPatch, words: list[str], traceback: str, work: Path
) -> None:
    monkeypatch.setenv("PASSINGLOOP_TRACEBACK", traceback)
    if traceback == "1":
        with pytest.raises(ConfigError) as caught:
            main_here(*words)
        said = "".join(map(str, [caught.value, caught.value.__cause__, caught.value.__context__]))
    else:
        done = main_here(*words)
        assert done.code == 2
        said = done.stdout + done.stderr
    assert "but settings are shown and stored. Put it into an environment variable" in said
    assert SECRET not in said
    assert not list(work.iterdir())


@pytest.mark.parametrize("show", [[], ["--cfg", "job"], ["--cfg", "job", "-p", "data"], ["--info", "all"], ["-m"]])
@pytest.mark.parametrize("line", [f"connection: Driver=x;PWD={SECRET}", f"dsn: 'a;password={SECRET}'"])
def test_a_password_in_a_file_is_refused(main_here: Command, work: Path, show: list[str], line: str) -> None:
    folder = work / "more" / "experiment"
    folder.mkdir(parents=True)
    (folder / "shop.yaml").write_text(
        f"# @package _global_\ndefaults: [{{override /data: sql}}]\ndata: {{train: t, {line}}}\n"
    )
    done = main_here(*show, "--config-dir", "more", "experiment=shop")
    assert done.code == 2, done
    assert "to a text with a password in it, but settings are shown" in done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("value", [f"https://hooks.example.org/{SECRET}", f"'{SECRET}/x'"])
def test_the_address_of_a_webhook_is_refused_where_the_name_of_a_variable_belongs(value: str) -> None:
    with pytest.raises(ConfigError, match="The address of a webhook is a secret") as caught:
        refuse_passwords([f"notify.webhook_env={value}"])
    assert SECRET not in str(caught.value)
    refuse_passwords(["notify.webhook_env=OUR_HOOK", "notify.webhook_env=null", "notify.webhook_env='OUR_HOOK'"])


def test_what_is_no_password_passes() -> None:
    refuse_passwords(
        [
            "data.password_env=SHOP_PASSWORD",
            "data.train=SELECT text FROM users WHERE password='x' AND pwd = y",
            "data.connection=Driver=x;UID=me;PWD=",
            "data.train=gs://bucket/a@b:c",
            "name=pwd",
            "--cfg",
        ]
    )
