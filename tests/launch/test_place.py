"""What is the same in every place: the folder of prepared data."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from passingloop.errors import ConfigError
from passingloop.launch.place import make_cache_root
from tests.conftest import Compose


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        ("file", "/file cannot be used: it is no folder"),
        ("file/in/it", "/file/in/it cannot be used: Not a directory"),
        ("/proc/mine", "/proc/mine cannot be used: "),
    ],
)
def test_a_cache_root_that_cannot_be_made(compose: Compose, work: Path, root: str, reason: str) -> None:
    (work / "file").touch()
    with pytest.raises(ConfigError, match=rf"You set cache_root=\S*{root}, but \S*{reason}"):
        make_cache_root(compose(f"cache_root={root}"))


def test_a_cache_root_is_made_with_the_mode_of_the_run(compose: Compose, work: Path) -> None:
    make_cache_root(compose("cache_root=deep/cache", "run_mode=0750"))
    assert stat.S_IMODE((work / "deep" / "cache").stat().st_mode) == 0o750
