"""The examples that need a Slurm run on one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.cluster import ROOT, finished
from tests.cluster.login import Login

EXAMPLES = sorted(ROOT.glob("examples/*slurm*.sh"))


@pytest.mark.slow  # what they show has tests of its own
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(login: Login, example: Path) -> None:
    places = {"TMPDIR": str(login.folder), "XDG_STATE_HOME": str(login.cluster.work)}
    done = finished([str(example)], login.env | places, login.folder)
    assert done.returncode == 0, done.stderr
    results = list((login.folder / "runs").glob("*/*/result.json"))
    counts = {"sweep": 3, "promote": 2, "production": 3, "from-shell": 2}
    assert len(results) == next((count for name, count in counts.items() if name in example.name), 1)
    assert [path.name for path in login.folder.iterdir()] == ["runs"], "an example leaves nothing else behind"
