"""The package as it is installed from a wheel, without the checkout around it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed into it, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    pip = (sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-compile", "--quiet", "--target")
    subprocess.run([*pip, site, wheel], check=True, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    return site


def run(installed: Path, folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PASSINGLOOP_")}
    environment["PYTHONPATH"] = str(installed)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_has_all_that_is_needed(installed: Path) -> None:
    (wheel,) = installed.parent.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    yaml = {f"passingloop/yaml/{path.relative_to(ROOT / 'config')}" for path in (ROOT / "config").rglob("*.yaml")}
    code = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}
    html = ROOT / "src/passingloop/report/html"
    parts = [*(html / "assets").glob("*.[cj]s*"), *(html / "vendored").glob("echarts.js*")]
    page = {str(path.relative_to(ROOT / "src")) for path in parts}
    assert yaml | code | page | {"passingloop/py.typed"} <= inside
    strays = {name for name in inside - yaml - code - page if ".dist-info/" not in name}
    assert strays == {"passingloop/py.typed"}


def test_the_yaml_is_found_beside_the_package(installed: Path, tmp_path: Path) -> None:
    program = "from passingloop.config.compose import config_folder; print(config_folder())"
    done = run(installed, tmp_path, sys.executable, "-c", program)
    assert done.stdout.strip() == str(installed / "passingloop" / "yaml"), done.stderr


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (("train", "--cfg", "job", "optim.lr=1"), 0, "lr: 1", ""),
        (("train", "-m", "optim.lr=1,x"), 2, "", "error: You set optim.lr=x, but optim.lr must be a number."),
        (("--version",), 0, "passingloop 0.", ""),
        ((), 0, "usage: passingloop", ""),
        (("trian",), 2, "", "error: There is no verb trian. Did you mean train?"),
    ],
)
def test_the_command(installed: Path, tmp_path: Path, words: tuple[str, ...], code: int, out: str, err: str) -> None:
    done = run(installed, tmp_path, sys.executable, installed / "bin" / "passingloop", *words)
    assert done.returncode == code, done.stderr
    assert out in done.stdout
    assert err in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_the_package_train_py_says_how_to_install_it() -> None:
    """-S leaves out the folder of installed packages."""
    done = subprocess.run([sys.executable, "-I", "-S", ROOT / "train.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"error: passingloop is not installed for {sys.executable}. Run ./scripts/setup")
    assert done.stderr.count("\n") == 1
