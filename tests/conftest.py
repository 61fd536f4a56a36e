"""Fixtures for all tests: an empty working folder, a configuration from overrides, and the command itself.

| fixture | is |
|---|---|
| `cache` | one folder of prepared data for the whole session |
| `work` | an empty folder; this process is in it during the test |
| `compose` | `compose("optim.lr=1e-3")`: the checked settings, as the command line would give them |
| `disk` | a file system of 4 MB, which can be filled and cleared |
| `train` | `train("data.limit=64", env={…}, cwd=…)`: runs ``python train.py`` in `work` to its end → `Finished` |
| `nvml` | a stand-in for NVIDIA's management library, to which GPUs can be added → `NvmlStandIn` |
| `main_here` | `main_here("optim.lr=abc")`: the same command in this process, which must not come as far as training |
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import hydra
import pytest

from passingloop.cli.train import main
from passingloop.config.command_line import hydra_word
from passingloop.config.compose import config_folder, settings
from passingloop.config.settings import RunConfig
from passingloop.config.values import keep_secrets_as_references
from tests.tools.not_run import NotRun
from tests.tools.nvml_stand_in import NvmlStandIn, compile_library

ROOT = Path(__file__).parents[1]

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the launcher sets it; read when torch is imported

Compose = Callable[..., RunConfig]


STARTING = {
    "cluster",
    "command",
    "database",
    "emulator",
    "launch",
    "mariadb",
    "packages",
    "postgresql",
    "serve",
    "train",
}
"""Fixtures that start servers or processes that train: tests that use them are marked `process`."""


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(NotRun())


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if STARTING & set(getattr(item, "fixturenames", ())):
            item.add_marker("process")


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("PASSINGLOOP_") and not name.endswith("_USERS")]:
        monkeypatch.delenv(name)
    return folder


def composed(folder: Path, *overrides: str) -> RunConfig:
    """The checked settings of a command that is given in `folder`."""
    keep_secrets_as_references()
    with hydra.initialize_config_dir(str(config_folder()), version_base="1.3"):
        return settings(hydra.compose("config", [hydra_word(word) for word in overrides]), folder)


@pytest.fixture
def compose(work: Path) -> Compose:
    return functools.partial(composed, work)


@pytest.fixture
def train(work: Path, cache: Path) -> Callable[..., Finished]:
    def train(*overrides: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Finished:
        if not any(word.startswith("tracking=") for word in overrides):
            overrides = (*overrides, "tracking=none")
        environment = os.environ | {"PASSINGLOOP_CACHE": str(cache), "HF_HUB_OFFLINE": "1"} | (env or {})
        environment.pop("WANDB_MODE", None)
        done = subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *overrides],
            cwd=cwd or work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return train


@pytest.fixture
def main_here(
    work: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """No machine has as many GPUs as are asked for: what should be a mistake, and is none, ends with 3."""

    def main_here(*words: str) -> Finished:
        guard = [] if any("resources" in word for word in words) else ["resources.gpus=99999"]
        monkeypatch.setattr(sys, "argv", ["train.py", *words, *guard])
        try:
            code = main()
        except SystemExit as end:  # from --cfg and the like
            code = int(end.code or 0)
        return Finished(code, *capfd.readouterr())

    return main_here


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return compile_library(tmp_path_factory.mktemp("nvml"))
    except FileNotFoundError:
        pytest.skip("there is no C compiler")


@pytest.fixture
def nvml(nvml_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NvmlStandIn:
    """Without a GPU at first. This process uses it during the test; another is given its `environment`."""
    stand_in = NvmlStandIn(nvml_library, tmp_path / "nvml-state")
    stand_in.load(monkeypatch)
    return stand_in


@pytest.fixture(autouse=True)
def restored_umask() -> Iterator[None]:
    """Puts back the umask, which choosing a run's folder changes."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def trainer_of(launcher: subprocess.Popen[str]) -> int:
    """The process that trains, once it is there. The launcher has others for a moment, such as git."""
    while True:
        for pid in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                if b"passingloop.job" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return int(pid)
        assert launcher.poll() is None, launcher.communicate()
        time.sleep(0.01)


@dataclass(frozen=True)
class Disk:
    """A file system of its own."""

    folder: Path

    def fill(self) -> None:
        """Leave no room."""
        with contextlib.suppress(OSError), (self.folder / "filling").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def clear(self) -> None:
        """Make room again."""
        (self.folder / "filling").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """One of 4 MB, which is soon full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", folder], check=False).returncode:
        pytest.skip("to mount a file system takes root")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)
