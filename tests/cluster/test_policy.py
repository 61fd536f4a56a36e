"""scripts/slurm-policy on a real cluster, which it may change as it likes."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.cluster import ROOT, Cluster, Finished, dev_slurm, until

BASE = """\
cluster: dev
qos:
  low: {usage_factor: 0.25, preempt_mode: requeue, grace_time: 0:00:10, preempt_exempt_time: 0:15:00}
  work: {priority: 50, preempts: low, max_time: 3-00:00:00, max_gpus_per_account: 4, max_memory_per_job: 64G}
accounts:
  root: {qos: [low, work], default_qos: work}
  lab: {shares: 2, gpu_hours: 5000, description: the lab}
  group: {parent: lab, max_tres: {gres/gpu: 4, billing: 100}}
  other: {shares: parent}
users:
  root: {accounts: [group, other], admin_level: administrator}
  ada: {accounts: [group]}
  bob:
    default_account: other
    accounts:
      other: {qos: [-low]}
      group:
        - {partition: short, shares: 3, max_jobs: 2}
        - {shares: parent}
"""

MORE = """\
cluster: dev
qos:
  work: {priority: 60, preempts: [idle], max_gpus_per_account: 4, flags: DenyOnLimit}
  idle: {}
accounts:
  root: {qos: [idle, work], default_qos: work}
  lab: {shares: 5}
  group: {parent: root, max_gpus: 4, qos: [work]}
  team: {parent: group, max_time: 1-00:00:00}
  sub: {parent: team, description: below the team}
users:
  root: {accounts: [group], admin_level: administrator}
  ada: {accounts: [sub, team], admin_level: operator}
  cai: {accounts: {sub: {max_jobs_per_user: 1}, group: {partition: main}}}
partitions:
  main: {default: yes, max_time: 3-00:00:00}
"""

MANAGED = ("--strand-jobs", "--delete-history")


class Site:
    """A cluster, and the tool on it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder

    def policy(self, verb: str, file: Path, *words: str, **env: str) -> Finished:
        there = replace(self.cluster, env=self.cluster.env | env)
        return there.run(sys.executable, str(ROOT / "scripts" / "slurm-policy"), verb, str(file), *words)

    def file(self, text: str, name: str = "policy.yaml") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def told(self, *words: str) -> str:
        return self.cluster.says("sacctmgr", "--immediate", *words)


@pytest.fixture(scope="module")
def whole(packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of its own: the other tests need the accounts that theirs has."""
    folder = tmp_path_factory.mktemp("slurm") / "cluster"
    done = dev_slurm("up", folder, "--nodes", "1")
    assert done.returncode == 0, done.stderr
    yield Cluster.in_folder(folder, tmp_path_factory.mktemp("jobs"))
    done = dev_slurm("down", folder)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def site(whole: Cluster, tmp_path: Path) -> Site:
    """With `BASE` in force, and no jobs."""
    whole.says("scancel", f"--user={os.getuid()}")
    until(lambda: whole.says("squeue", "--all", "--noheader") == "")
    site = Site(whole, tmp_path)
    done = site.policy("apply", site.file(BASE, "base.yaml"), *MANAGED)
    assert done.returncode == 0, done.stderr
    return site


def test_what_was_exported_is_what_is_there(site: Site) -> None:
    file = site.folder / "exported.yaml"
    assert site.policy("export", file).returncode == 0
    plan = site.policy("plan", file)
    assert (plan.returncode, plan.stdout, plan.stderr) == (0, "", "slurmdbd is as the file says.\n")
    assert site.policy("check", file).returncode == 0
    assert site.policy("check", site.folder / "base.yaml").returncode == 0
    again = site.policy("export", file)
    assert (again.returncode, again.stderr) == (2, f"error: {file} exists already. Give another name, or remove it.\n")
    assert site.policy("export", Path("-")).stdout == file.read_text()


@pytest.mark.slow
def test_the_same_again_does_nothing_and_the_commands_are_those_that_are_run(site: Site) -> None:
    file = site.file(MORE)
    commands = site.policy("plan", file, "--commands", *MANAGED).stdout.splitlines()
    planned = json.loads(site.policy("plan", file, "--json", *MANAGED).stdout)
    assert [shlex.split(line) for line in commands] == [change["command"] for change in planned["changes"]]
    assert (planned["cluster"], planned["refusals"]) == ("dev", [])
    done = site.policy("apply", file, *MANAGED)
    assert done.returncode == 0, done.stderr
    assert f"Changes made in slurmdbd: {len(commands)} of {len(commands)}." in done.stderr
    assert len(commands) > 15
    assert site.policy("plan", file).stdout == ""
    again = site.policy("apply", file)
    assert (again.returncode, again.stderr) == (0, "slurmdbd is as the file says.\n")
    back = site.policy("apply", site.folder / "base.yaml", *MANAGED)
    assert back.returncode == 0, back.stderr
    for line in commands:  # and as a person would give them
        site.told(*shlex.split(line)[2:])
    assert site.policy("plan", file).stdout == ""


def test_drift_is_told_by_the_exit_code(site: Site) -> None:
    file = site.file(
        BASE + "slurm_conf: {KillWait: 5, PreemptType: preempt/qos}\nnodes: {n1: {gres: [gpu:2, shard:8]}}\n"
    )
    assert site.policy("check", file).returncode == 0
    site.told("modify", "user", "where", "name=ada", "account=group", "set", "Fairshare=7")
    drift = site.policy("check", file)
    assert (drift.returncode, drift.stdout) == (1, "~ user ada in group: shares 7 -> not set\n")
    site.told("modify", "user", "where", "name=ada", "account=group", "set", "Fairshare=1")
    assert site.policy("check", file).returncode == 0
    lines = site.policy("check", site.file(BASE + "slurm_conf: {KillWait: 60}\n", "lines.yaml"))
    assert lines.returncode == 1
    assert "Lines for slurm.conf, which are not in force:\n  KillWait=60\n    # now: KillWait is 5 sec" in lines.stdout
    wrong = site.policy("check", site.file("qos: {work: {max_time: 60}}\n", "wrong.yaml"))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "wrong.yaml:1: qos.work.max_time is 60" in wrong.stderr
    assert site.policy("check", file, SLURM_CONF="/nowhere/slurm.conf").returncode == 3
    other = site.policy("plan", site.file(BASE.replace("cluster: dev", "cluster: prod"), "other.yaml"))
    assert (other.returncode, other.stdout) == (2, "")
    assert "other.yaml:1: this is the policy of the cluster prod, but this is the cluster dev." in other.stderr


DYING = """\
#!/bin/sh
# The real sacctmgr, except that the call number $DIES_AT that changes something is killed in the place of $DIES.
case $1 in
--immediate)
    echo "$*" >> "$CALLS"
    if [ "$(wc -l < "$CALLS")" -eq "$DIES_AT" ]; then
        [ "$DIES" = before ] || {sacctmgr} "$@"
        kill -KILL $$
    fi ;;
esac
exec {sacctmgr} "$@"
"""


@pytest.mark.slow
@pytest.mark.parametrize("dies", ["before", "after"])
def test_what_was_half_applied_when_sacctmgr_died_is_completed(site: Site, dies: str) -> None:
    """Killed before slurmdbd has heard of it, and after slurmdbd has done it."""
    folder = site.folder / "bin"
    folder.mkdir()
    sacctmgr = folder / "sacctmgr"
    sacctmgr.write_text(
        DYING.replace("{sacctmgr}", shlex.quote(shutil.which("sacctmgr", path=site.cluster.env["PATH"]) or ""))
    )
    sacctmgr.chmod(0o755)
    file = site.file(MORE)
    total = len(site.policy("plan", file, "--commands", *MANAGED).stdout.splitlines())
    env = {
        "PATH": f"{folder}:{site.cluster.env['PATH']}",
        "CALLS": str(site.folder / "calls"),
        "DIES_AT": "6",
        "DIES": dies,
    }
    died = site.policy("apply", file, *MANAGED, **env)
    assert died.returncode == 1
    assert f"Changes made in slurmdbd: 5 of {total}." in died.stderr
    assert "The next apply goes on from there." in died.stderr
    assert len(died.stdout.splitlines()) == 5
    rest = site.policy("plan", file, "--commands", *MANAGED).stdout.splitlines()
    assert len(rest) == total - (5 if dies == "before" else 6)
    done = site.policy("apply", file, *MANAGED)
    assert done.returncode == 0, done.stderr
    assert site.policy("plan", file).stdout == ""


def test_jobs_are_not_left_without_what_they_need(site: Site) -> None:
    """One runs in the QOS that would go, one waits that is over a new limit; root's, as all jobs here."""
    runs = site.cluster.submit("sleep 600", "--qos=low", "--gres=gpu:1", "--mem=100")
    waits = site.cluster.submit("sleep 600", "--hold", "--gres=gpu:2", "--mem=100")
    until(lambda: site.cluster.state(runs) == "RUNNING")
    text = BASE.replace("  low: {", "  idle: {").replace("preempts: low", "preempts: idle")
    text = text.replace("[low, work]", "[idle, work]").replace("[-low]", "[-idle]")
    file = site.file(text.replace("max_gpus_per_account: 4", "max_gpus_per_account: 1"))
    before = site.policy("export", Path("-")).stdout
    for verb in ("plan", "apply"):
        refused = site.policy(verb, file, "--delete-history")
        assert refused.returncode == 1
        assert f"refused: The QOS low would be removed, but jobs need that: {runs} of root (runs)." in refused.stderr
        assert (
            "refused: qos work: max_gpus_per_account would be 1, which jobs are over: "
            f"{waits} of root (waits)." in refused.stderr
        )
        assert "Nothing is applied. Change the file, or, if all of this is meant, add --strand-jobs." in refused.stderr
    planned = json.loads(site.policy("plan", file, "--json", "--delete-history").stdout)
    assert [(one["reason"], one["jobs"], one["users"]) for one in planned["refusals"]] == [
        ("jobs", [runs], ["root"]),
        ("jobs", [waits], ["root"]),
    ]
    spent = site.policy("plan", site.file(BASE.replace("gpu_hours: 5000", "gpu_hours: 0"), "spent.yaml"))
    assert "refused: account lab: gpu_hours would be 0, but 0.0 hours are used, so Slurm would end" in spent.stderr
    assert f"{runs} of root (runs)" in spent.stderr
    assert site.policy("export", Path("-")).stdout == before
    applied = site.policy("apply", file, *MANAGED)
    if "Job(s) active" in applied.stderr:  # slurmdbd of newer releases removes no QOS that jobs need
        assert "The next apply goes on from there." in applied.stderr
        site.cluster.says("scancel", runs)
        until(lambda: site.policy("apply", file, *MANAGED).returncode == 0)
    else:
        assert applied.returncode == 0, applied.stderr
    site.cluster.says("scontrol", "release", waits)
    reason = ("squeue", "--noheader", "--format=%r", f"--jobs={waits}")
    until(lambda: site.cluster.says(*reason) == "MaxGRESPerAccount")  # as was said


def test_what_was_used_is_not_removed(site: Site) -> None:
    until(lambda: "QOS=low(" in site.cluster.says("scontrol", "show", "assoc_mgr", "flags=qos"))
    job = site.cluster.submit("true", "--account=other", "--qos=low", "--mem=100")
    until(lambda: site.cluster.state(job) == "COMPLETED")
    text = BASE.replace("  other: {shares: parent}\n", "").replace("[group, other]", "[group]")
    text = text.replace("default_account: other\n", "default_account: group\n")
    file = site.file(text.replace("      other: {qos: [-low]}\n", ""))
    refused = site.policy("apply", file)
    assert refused.returncode == 1
    assert "refused: The account other would be removed with what was used under it." in refused.stderr
    assert "refused: The user root would lose the account other with what was used there." in refused.stderr
    assert "bob" not in refused.stderr  # who has not used it
    assert "add --delete-history." in refused.stderr
    assert site.policy("apply", file, "--delete-history").returncode == 0
