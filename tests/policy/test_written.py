"""A cluster written as a file: reading it back changes nothing."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings

from passingloop.policy.entities import Seat, State, desired
from passingloop.policy.policy_changes import changes
from passingloop.policy.references import cluster_problems
from passingloop.policy.site_lines import lines_not_in_force
from passingloop.policy.written import hostlist, written_policy
from passingloop.slurm.notation import node_names
from tests.policy import outputs
from tests.policy.made import policy, state
from tests.policy.strategies import states

TRES = frozenset(("cpu", "mem", "node", "billing", "gres/gpu", "gres/gpu:h100"))


def text(there: State) -> str:
    return written_policy(there, outputs.CONFIG, outputs.PARTITIONS, outputs.NODES)


@settings(max_examples=100, deadline=None)
@given(there=states())
def test_what_is_written_is_the_state(there: State) -> None:
    there = replace(there, tres=TRES)
    with tempfile.TemporaryDirectory() as folder:
        found = policy(Path(folder), text(there))
    assert list(cluster_problems(found, there)) == []
    assert changes(there, desired(found, there)) == []
    assert lines_not_in_force(found, outputs.CONFIG, outputs.PARTITIONS, outputs.NODES) == []


def test_every_kind_of_setting_survives(tmp_path: Path) -> None:
    there = state(
        qos={
            "all": {
                ("Description", ""): "a qos, with: words",
                ("PreemptMode", ""): "requeue,within",
                ("Flags", ""): "DenyOnLimit,NoReserve",
                ("GraceTime", ""): "90",
                ("PreemptExemptTime", ""): "0",
                ("UsageFactor", ""): "0.25",
                ("UsageThreshold", ""): "0.1",
                ("LimitFactor", ""): "2",
                ("GrpWall", ""): "360000",
                ("MaxTRESRunMinsPU", "cpu"): "10",
                ("MaxTRESMins", "gres/gpu"): "600",
                ("MinTRES", "cpu"): "1",
            },
            "0123": {},
        },
        accounts={
            "root": {("QOS", ""): "0123,all", ("DefaultQOS", ""): "all"},
            "no": {("Parent", ""): "root", ("Fairshare", ""): "parent", ("Organization", ""): "the ministry"},
        },
        users={"ada": {("AdminLevel", ""): "operator"}, "root": {("DefaultAccount", ""): "no"}},
        seats={
            Seat("root", "root"): {},
            Seat("root", "no"): {},
            Seat("ada", "no", "short"): {("QOS", ""): "-all"},
            Seat("ada", "no"): {("QOS", ""): "+0123", ("Fairshare", ""): "3"},
        },
    )
    found = policy(tmp_path, text(there))
    assert changes(there, desired(found, there)) == []
    assert found.users == {"ada": {("AdminLevel", ""): "operator"}, "root": {}}


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (["n1", "n2"], "n[1-2]"),
        (["n1"], "n1"),
        (["gpu08", "gpu09", "gpu10", "gpu12", "login"], "gpu[08-09],gpu[10,12],login"),
        (["a-1-3", "a-1-4", "b2", "n9", "n10"], "a-1-[3-4],b2,n[9-10]"),
    ],
)
def test_names_of_nodes_are_put_together(names: list[str], written: str) -> None:
    assert hostlist(names) == written
    assert sorted(node_names(written)) == sorted(names)


def test_another_yaml_program_reads_the_same_names() -> None:
    """YAML 1.1 takes 0123 for 83, and no for false."""
    there = state(
        qos={"0123": {}, "1e3": {}},
        accounts={"root": {}, "no": {("Parent", ""): "root"}},
        users={"null": {("DefaultAccount", ""): "no"}},
        seats={Seat("null", "no"): {}},
    )
    read = yaml.safe_load(text(there))
    assert (list(read["qos"]), list(read["accounts"]), read["users"]) == (
        ["0123", "1e3"],
        ["no"],
        {"null": {"accounts": ["no"]}},
    )
