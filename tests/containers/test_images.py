"""Images are built from containers/, and train. No registry is needed: the base is made of packages of Debian."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.building import PIVOT, RELEASE, build_context, debian_tree, locked_wheels, need, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.process,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.geteuid() != 0, reason="builds images as root"),
]

TRAIN = "passingloop train data.limit=100 trainer.steps=2 data.max_length=16 tracking=none run_root=/tmp/runs"
"""Uses what an image must have: Python, torch, the model, the command itself."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `context` with the repository, `wheels` with the locked packages, and `base.tar`, a Debian."""
    need("mmdebstrap", "buildah")
    made = tmp_path_factory.mktemp("images")
    debian_tree(RELEASE, "ca-certificates", made / "base.tar")
    build_context(made / "context")
    (made / "wheels").mkdir()
    locked_wheels(made / "wheels")
    return made


@pytest.fixture(scope="module")
def buildah(folder: Path) -> Iterator[list[str]]:
    """buildah with a store of its own, in which `localhost/base` is the Debian."""
    command = ["buildah", "--root", f"{folder}/store", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
    container = run([*command, "from", "scratch"]).stdout.strip()
    run([*command, "add", "-q", container, f"{folder}/base.tar", "/"])
    run([*command, "commit", "-q", "--rm", container, "localhost/base"])
    yield command
    run([*command, "rm", "--all"])
    run([*command, "rmi", "--all", "--force"])


def test_the_dockerfile_makes_an_image_that_trains(folder: Path, buildah: list[str]) -> None:
    arguments = {"BASE": "localhost/base", "PIP_FIND_LINKS": "/wheels", "PIP_NO_INDEX": "1"}
    given = [word for name, text in arguments.items() for word in ("--build-arg", f"{name}={text}")]
    isolation = ["--isolation", "chroot"]
    file = ["-f", f"{folder}/context/containers/Dockerfile", f"{folder}/context"]
    wheels = ["--volume", f"{folder}/wheels:/wheels:ro"]
    run([*buildah, "bud", *isolation, "--network", "host", *wheels, *given, "-t", "passingloop", *file])
    container = run([*buildah, "from", "passingloop"]).stdout.strip()
    done = run([*buildah, "run", *isolation, "--env", "HF_HUB_OFFLINE=1", container, "sh", "-c", TRAIN])
    assert done.stdout.startswith("/tmp/runs/")


def test_the_apptainer_definition_makes_an_image_that_trains_through_the_wrapper(
    folder: Path, buildah: list[str]
) -> None:
    """With Apptainer itself, which Debian has in unstable only: from a tree of that, in which it is started."""
    tree = folder / "unstable"
    debian_tree("unstable", "apptainer,ca-certificates", tree)
    for name in ("old", "build/context", "build/wheels"):
        (tree / name).mkdir(parents=True)
    for name in ("hosts", "resolv.conf"):
        (tree / "etc" / name).write_bytes(Path("/etc", name).read_bytes())
    run([*buildah, "push", "-q", "localhost/base", f"oci-archive:{tree}/build/base.tar"])

    arguments = {"bootstrap": "oci-archive", "from": "/build/base.tar", "pip_find_links": "/mnt", "pip_no_index": "1"}
    given = " ".join(f"--build-arg {name}={text}" for name, text in arguments.items())
    wrapper = "/opt/passingloop/.venv/bin/python"
    commands = [
        "cd /build/context",
        f"apptainer build --sandbox --bind /build/wheels:/mnt {given} /build/image containers/passingloop.def",
        f"install -D -m 755 containers/python {wrapper}",
        "export PASSINGLOOP_IMAGE=/build/image HF_HUB_OFFLINE=1",
        f"cd /tmp && {wrapper} -P -m passingloop.cli.main {TRAIN.removeprefix('passingloop ')}",
    ]
    done = run(["unshare", "--mount", "bash", "-c", PIVOT, "bash", str(tree), str(folder), " && ".join(commands)])
    assert done.stdout.splitlines()[-1].startswith("/tmp/runs/")
