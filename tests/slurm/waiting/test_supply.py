"""Nodes, reservations, licences and partitions, read from what scontrol prints."""

from __future__ import annotations

from passingloop.slurm.waiting import supply
from tests.slurm.waiting.shown import LICENSES, NODES, PARTITIONS, RESERVATIONS


def test_nodes() -> None:
    first, drained, reserved, down = supply.read_node_states(NODES)
    assert first.free == {"cpu": 6, "mem": 30000, "gres/gpu": 1}
    assert (first.features, first.partitions, first.in_service, first.reason) == (
        ("h200", "ib"),
        ("main", "short"),
        True,
        "",
    )
    assert (drained.in_service, drained.reason) == (False, "bad disk, really [root@2026-11-29T12:48:31]")
    assert (reserved.in_service, reserved.reserved) == (True, True)
    assert not down.in_service


def test_a_node_that_is_switched_off_is_in_service() -> None:
    """It is switched on for the next job."""
    [node] = supply.read_node_states("NodeName=c1 State=IDLE+CLOUD+POWERED_DOWN Partitions=cloud CfgTRES=cpu=8")
    assert node.in_service
    [node] = supply.read_node_states("NodeName=c1 State=DOWN+CLOUD+POWERED_DOWN Partitions=cloud CfgTRES=cpu=8")
    assert not node.in_service


def test_reservations() -> None:
    maintenance, flexible = supply.read_reservations(RESERVATIONS)
    assert (maintenance.nodes, maintenance.users, maintenance.state) == (("n1", "n2", "n3", "n4"), "root", "INACTIVE")
    assert maintenance.start
    assert maintenance.end == maintenance.start + 3600
    assert maintenance.keeps_others_out
    assert (flexible.nodes, flexible.accounts, flexible.keeps_others_out) == ((), "team-a,team-b", False)
    assert supply.read_reservations("No reservations in the system\n") == ()


def test_licences() -> None:
    assert [(one.name, one.total, one.used, one.reserved) for one in supply.read_licenses(LICENSES)] == [
        ("matlab", 4, 3, 0),
        ("comsol@server", 8, 0, 2),
    ]
    assert supply.read_licenses("No licenses configured in Slurm.\n") == ()


def test_states_of_partitions() -> None:
    assert supply.read_partition_states(PARTITIONS) == {"main": "UP", "old": "DOWN"}
