"""Options of the container plugin pyxis, given in cluster.extra, are judged by sbatch like all others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import RELEASE, finished, own_environment
from tests.cluster.login import Login

pytestmark = pytest.mark.process
SOURCE = Path(__file__).with_name("pyxis_options.c")
OPTIONS = (
    "+cluster.extra.container-image=/images/passingloop.sqsh",
    '+cluster.extra.container-mounts="/scratch:/scratch,/etc/slurm"',
    "+cluster.extra.container-writable=true",
)


@pytest.fixture
def with_options(login: Login, tmp_path: Path) -> Iterator[Login]:
    """A login node whose sbatch knows the options of pyxis, by a stand-in for it."""
    if shutil.which("cc") is None or not Path("/usr/include/slurm/spank.h").exists():
        pytest.skip("the stand-in for pyxis cannot be compiled: apt-get install gcc libslurm-dev")
    if RELEASE:
        pytest.skip("the stand-in for pyxis is compiled for the installed release of Slurm")
    plugin = tmp_path / "pyxis_options.so"
    built = finished(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(plugin), str(SOURCE)], own_environment())
    assert built.returncode == 0, built.stderr
    plugins = Path(login.env["SLURM_CONF"]).with_name("plugstack.conf")
    plugins.write_text(f"required {plugin}\n")
    yield login
    plugins.unlink()


def test_options_of_pyxis_are_in_the_batch_script(with_options: Login) -> None:
    done = with_options.train("launcher=slurm", "dry_run=true", *OPTIONS)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "container" in line]
    assert lines == [
        "#SBATCH --container-image=/images/passingloop.sqsh",
        "#SBATCH --container-mounts=/scratch:/scratch,/etc/slurm",
        "#SBATCH --container-writable",
    ]


def test_without_pyxis_the_options_are_refused(login: Login) -> None:
    done = login.train("launcher=slurm", "dry_run=true", *OPTIONS)
    assert done.returncode == 2
    assert "unrecognized option '--container-image=/images/passingloop.sqsh'" in done.stderr
