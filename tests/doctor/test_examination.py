"""What is said where the node's part does not come back."""

from __future__ import annotations

import pytest

from passingloop.doctor.examination import failed_node
from passingloop.doctor.node_part import OTHER_VERSION
from tests.doctor.said import levels


@pytest.mark.parametrize(
    ("said", "check", "level"),
    [
        ("execve(): /env/bin/python: No such file or directory; n1: task 0: Exited", "environment", "problem"),
        ("/usr/bin/python3: No module named passingloop; n1: task 0: Exited", "environment", "problem"),
        (OTHER_VERSION, "environment", "problem"),
        ("Unable to allocate resources: Requested nodes are busy", "node", "unknown"),
        ("Unable to allocate resources: Invalid account or account/partition combination", "node", "problem"),
        ("Unable to allocate resources: Requested node configuration is not available", "node", "problem"),
        ("n1: task 0: Segmentation fault", "node", "problem"),
    ],
)
def test_why_a_node_has_not_answered(said: str, check: str, level: str) -> None:
    found = failed_node(said, 120)
    assert (found.check, levels([found])) == (check, [level])
    assert said in found.evidence
