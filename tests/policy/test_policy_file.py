"""Policy files, right and wrong."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passingloop.errors import ConfigError
from passingloop.policy.entities import Seat
from passingloop.policy.policy_file import read_policy_file
from tests.conftest import ROOT
from tests.policy.made import policy

QOS = "qos:\n  production:\n    priority: 50\n  scavenger: {}\n"

WRONG: dict[str, tuple[str, int, str]] = {
    "a tab": ("qos:\n\tproduction: {}\n", 2, "there is a tab before the text"),
    "a tab further down": ("qos:\n  a:\n    priority: 1\n\t  max_jobs: 2\n", 4, "there is a tab"),
    "no YAML": ("qos: [a, b\naccounts: {}\n", 2, "this is no YAML"),
    "nested deeply": ("qos:\n  a: " + "[" * 100_000 + "\n", 2, "this is nested more than 20 times"),
    "nested deeply in one line": ("qos:\n  a:\n    " + "- " * 100_000 + "\n", 3, "this is nested more than 20 times"),
    "empty": ("# nothing\n", 1, "the file is empty"),
    "a list": ("- qos\n", 1, "the file is no mapping"),
    "two documents": ("qos:\n  a: {}\n---\nqos:\n  b: {}\n", 3, "a second document begins here"),
    "an unknown section": ("qoss:\n  a: {}\n", 1, "there is no section `qoss`. Did you mean `qos`?"),
    "an empty section": ("accounts:\n", 1, "the section `accounts` is empty"),
    "a section twice": ("qos:\n  a: {}\nqos:\n  b: {}\n", 3, "`qos` is there twice, first on line 1"),
    "an account twice": (
        "accounts:\n  lab: {}\n  other: {}\n  lab: {shares: 2}\n",
        4,
        "`lab` of accounts is there twice, first on line 2",
    ),
    "a setting twice": ("qos:\n  a:\n    priority: 1\n    priority: 2\n", 4, "`priority` of qos.a is there twice"),
    "a user twice": ("users:\n  ada: {accounts: [x]}\n  ada: {accounts: [y]}\n", 3, "`ada` of users is there twice"),
    "an account of a user twice": ("users:\n  ada:\n    accounts: [x, x]\n", 3, "users.ada.accounts has `x` twice"),
    "a partition of a seat twice": (
        "users:\n  ada:\n    accounts:\n      x:\n        - {shares: 2}\n        - {shares: 3}\n",
        6,
        "users.ada.accounts.x is there twice for the same partition",
    ),
    "an unknown setting": (
        "qos:\n  a:\n    max_gpu_per_user: 2\n",
        3,
        "there is no setting of qos.a `max_gpu_per_user`. Did you mean `max_gpus_per_user`?",
    ),
    "capitals": (
        "accounts:\n  Team-A: {}\n",
        2,
        "`Team-A` in accounts has capitals, but Slurm keeps such names in lower",
    ),
    "a name with a comma": ("accounts:\n  'a,b': {}\n", 2, "`a,b` in accounts is no name"),
    "a name with a quote": ('users:\n  "o\'neil": {accounts: [a]}\n', 2, "is no name of a user"),
    "an unknown QOS to preempt": (
        QOS + "  fast:\n    preempts: [scavenger, lowly]\n",
        6,
        "qos.fast.preempts names the QOS lowly, which does not exist. There are fast, production, scavenger.",
    ),
    "an unknown default QOS": (
        QOS + "accounts:\n  lab:\n    default_qos: fast\n",
        7,
        "accounts.lab.default_qos names the QOS fast",
    ),
    "an unknown QOS to use": (
        QOS + "accounts:\n  lab: {}\nusers:\n  ada:\n    accounts:\n      lab:\n        qos: [+fast]\n",
        11,
        "users.ada.accounts.lab.qos names the QOS fast",
    ),
    "an unknown parent": ("accounts:\n  lab:\n    parent: dept\n", 3, "accounts.lab.parent names the account dept"),
    "an unknown account": (
        "accounts:\n  lab: {}\nusers:\n  ada: {accounts: [lap]}\n",
        4,
        "users.ada.accounts names the account lap, which does not exist. There are lab, root.",
    ),
    "a circle of accounts": (
        "accounts:\n  a:\n    parent: b\n  b:\n    parent: c\n  c:\n    parent: a\n",
        3,
        "accounts has a circle: a is below b is below c is below a.",
    ),
    "a circle of preemption": (
        "qos:\n  low: {}\n  a:\n    preempts: [b, low]\n  b:\n    preempts: a\n",
        4,
        "qos has a circle: a preempts b preempts a.",
    ),
    "a QOS that preempts itself": ("qos:\n  a:\n    preempts: a\n", 3, "qos has a circle: a preempts a."),
    "a parent of root": (
        "accounts:\n  lab: {}\n  root:\n    parent: lab\n",
        4,
        "the account root is at the top and has no parent",
    ),
    "shares of 0": (
        "accounts:\n  lab:\n    shares: 0\n",
        3,
        "accounts.lab.shares is 0: it would leave all of these jobs",
    ),
    "negative shares": ("accounts:\n  lab:\n    shares: -2\n", 3, "is no whole number from 1, nor `parent`"),
    "half a job": (
        "qos:\n  a:\n    max_jobs_per_user: 1.5\n",
        3,
        "qos.a.max_jobs_per_user is 1.5: it is no whole number",
    ),
    "a number with a unit": ("qos:\n  a:\n    max_gpus_per_user: 2 GPUs\n", 3, "this takes without a unit"),
    "no limit in words": ("qos:\n  a:\n    max_gpus: unlimited\n", 3, "is no whole number"),
    "a number that Slurm takes for infinite": (
        "qos:\n  a:\n    max_jobs: 4294967295\n",
        3,
        "more than Slurm can count",
    ),
    "12:30": (
        "qos:\n  a:\n    max_time: 12:30\n",
        3,
        "qos.a.max_time is 12:30: it may mean hours and minutes, while Slurm takes it for minutes and seconds. "
        "Write 12:30:00 or 0:12:30.",
    ),
    "a time that another program has read": (
        "qos:\n  a:\n    max_time: 14400\n",
        3,
        "is a number without a unit; other programs read 4:00:00 in YAML as 14400. Write H:MM:SS",
    ),
    "a time in words": ("qos:\n  a:\n    max_time: 4h\n", 3, "it is no time. Write H:MM:SS or D-HH:MM:SS."),
    "a limit with seconds": ("qos:\n  a:\n    max_time: 0:10:30\n", 3, "Slurm keeps such limits in whole minutes"),
    "a limit of no time": ("qos:\n  a:\n    max_time: 0:00:00\n", 3, "would let no job run"),
    "seventy minutes": ("qos:\n  a:\n    grace_time: 1:70:00\n", 3, "is no time"),
    "memory without unit": ("qos:\n  a:\n    max_memory_per_user: 64\n", 3, "a size without a unit"),
    "memory in another unit": ("qos:\n  a:\n    max_memory_per_user: 64GiB\n", 3, "is no size such as 64G"),
    "hours with a unit": ("accounts:\n  lab:\n    gpu_hours: 5000h\n", 3, "is no number of hours, such as 5000"),
    "a factor with a percent sign": ("qos:\n  a:\n    usage_factor: 25%\n", 3, "is no number from 0, such as 0.25"),
    "a factor below 0": ("qos:\n  a:\n    usage_factor: -1\n", 3, "is no number from 0"),
    "a threshold over 1": ("qos:\n  a:\n    usage_threshold: 5\n", 3, "is more than 1, the whole"),
    "an unknown flag": ("qos:\n  a:\n    flags: [DenyOnLimits]\n", 3, "Did you mean DenyOnLimit?"),
    "an unknown preempt mode": ("qos:\n  a:\n    preempt_mode: requeu\n", 3, "Did you mean requeue?"),
    "an unknown level": (
        "users:\n  ada: {accounts: [a], admin_level: root}\n",
        2,
        "is no level. There are none, operator",
    ),
    "a limit twice in two ways": (
        "qos:\n  a:\n    max_gpus: 2\n    max_tres: {gres/gpu: 3}\n",
        4,
        "qos.a.max_tres limits gres/gpu once more",
    ),
    "names with and without sign": ("accounts:\n  a:\n    qos: [x, +y]\n", 3, "mixes names with + or -"),
    "no value": ("qos:\n  a:\n    max_time:\n", 3, "qos.a.max_time has no value. Give one, or leave the line out."),
    "a list for a value": ("qos:\n  a:\n    priority: [1, 2]\n", 3, "qos.a.priority is a list, but a single value"),
    "a mapping for a value": ("qos:\n  a:\n    priority: {b: 1}\n", 3, "qos.a.priority is a mapping"),
    "an empty list": ("accounts:\n  a:\n    qos: []\n", 3, "accounts.a.qos is an empty list"),
    "a name for a mapping": ("qos:\n  a: b\n", 2, "qos.a is no mapping"),
    "a merged mapping": ("qos:\n  a: &x {priority: 1}\n  b:\n    <<: *x\n", 4, "merges another mapping (<<)"),
    "a user without accounts": ("users:\n  ada: {}\n", 2, "users.ada has no accounts"),
    "a user that is a name": ("users:\n  ada: lab\n", 2, "users.ada has no accounts. Write `accounts: [NAME]`"),
    "a default account of others": (
        "users:\n  ada:\n    accounts: [x, y]\n    default_account: z\n",
        4,
        "users.ada.default_account is z, which is none of the user's accounts",
    ),
    "a quote in a description": ('accounts:\n  a:\n    description: the "best"\n', 3, "has the character '\"'"),
    "partitions in slurm_conf": ("slurm_conf:\n  PartitionName: x\n", 2, "has a section of its own here: `partitions`"),
    "a parameter twice": ("slurm_conf:\n  KillWait: 5\n  killwait: 6\n", 3, "is there twice, also as KillWait"),
    "no parameter": ("slurm_conf:\n  kill wait: 5\n", 2, "is no parameter that can be checked"),
    "a bracket that is open": ("partitions:\n  p:\n    nodes: 'n[1-'\n", 3, "is no list of nodes such as n[1-64]"),
    "a partition's default": ("partitions:\n  p:\n    default: 1\n", 3, "is neither yes nor no"),
    "a time of a partition": ("partitions:\n  p:\n    max_time: 60\n", 3, "is a number without a unit"),
    "a space in a line of slurm.conf": ("partitions:\n  p:\n    qos: a b\n", 3, "has a space, which ends a value"),
    "an unknown key of nodes": ("nodes:\n  n1: {gpus: 2}\n", 2, "there is no setting of nodes.n1 `gpus`"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    text, line, sentence = WRONG[name]
    with pytest.raises(ConfigError) as caught:
        policy(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/policy.yaml:{line}: "), message
    assert sentence in message
    assert "\n" not in message, "one mistake, one line"
    assert message.endswith((".", "?"))


def test_all_that_is_wrong_is_reported_at_once_in_order(tmp_path: Path) -> None:
    text = "users:\n  ada: {}\nqos:\n  a:\n    max_time: 1\n    priority: x\naccounts:\n  B: {}\n"
    with pytest.raises(ConfigError) as caught:
        policy(tmp_path, text)
    assert [int(line.split(":")[1]) for line in str(caught.value).splitlines()] == [2, 5, 6, 8]


def test_many_problems_are_cut_off(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        policy(tmp_path, "accounts:\n" + "".join(f"  a{n}: {{shares: 0}}\n" for n in range(50)))
    assert len(str(caught.value).splitlines()) == 21
    assert str(caught.value).endswith("and 30 more problems.")


PIECES = st.sampled_from([*"[]{}:\t\"'#|\0é0~\n,", "- ", "&a ", "*a", "!x "])
SPLICE = st.tuples(st.integers(0, 10_000), st.integers(0, 8), st.one_of(st.just(""), PIECES))


@settings(max_examples=200, deadline=None)
@given(splices=st.lists(SPLICE, min_size=1, max_size=4))
def test_whatever_is_mistyped_is_a_problem_with_a_line(splices: list[tuple[int, int, str]]) -> None:
    text = (ROOT / "slurm" / "policy.yaml").read_text()
    for number, length, piece in splices:
        place = number % len(text)
        text = text[:place] + piece + text[place + length :]
    with tempfile.TemporaryDirectory() as folder:
        try:
            policy(Path(folder), text)
        except ConfigError as error:
            for line in str(error).splitlines():
                assert re.match(rf"{re.escape(folder)}/policy.yaml:\d+: |and \d+ more problems", line)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_policy_file(tmp_path / "absent.yaml")
    file = tmp_path / "latin.yaml"
    file.write_bytes("qos:\n  a: {}\n# für\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin.yaml:3: this is no UTF-8 text"):
        read_policy_file(file)


def test_the_values_are_read(tmp_path: Path) -> None:
    found = policy(
        tmp_path,
        """
qos:
  scavenger: {priority: 0, grace_time: 0:02:00, preempt_mode: requeue, usage_factor: 0.25, preempt_exempt_time: 0:15:00}
  fast:
    preempts: scavenger
    max_gpus_per_user: 2
    max_memory_per_job: 64G
    max_time: 3-00
    gpu_hours: 0.5
    max_tres_per_user: {gres/gpu:h100: 1}
    tres_minutes: {billing: 90}
    flags: [noreserve, denyonlimit]
accounts:
  lab: {gpu_hours: 5000, shares: parent}
  sub: {parent: lab, qos: [fast, scavenger], default_qos: fast, shares: 1}
users:
  no: {accounts: sub}
  ada:
    admin_level: Operator
    accounts:
      sub: {max_jobs: 3, qos: [-fast, +scavenger]}
      lab:
        - {partition: short, shares: 2}
        - {}
""",
    )
    assert found.qos == {
        "scavenger": {
            ("GraceTime", ""): "120",
            ("PreemptMode", ""): "requeue",
            ("UsageFactor", ""): "0.25",
            ("PreemptExemptTime", ""): "900",
        },
        "fast": {
            ("Preempt", ""): "scavenger",
            ("MaxTRESPU", "gres/gpu"): "2",
            ("MaxTRESPU", "gres/gpu:h100"): "1",
            ("MaxTRES", "mem"): "65536",
            ("MaxWall", ""): "259200",
            ("GrpTRESMins", "gres/gpu"): "30",
            ("GrpTRESMins", "billing"): "90",
            ("Flags", ""): "DenyOnLimit,NoReserve",
        },
    }
    assert found.accounts == {
        "lab": {("Parent", ""): "root", ("GrpTRESMins", "gres/gpu"): "300000", ("Fairshare", ""): "parent"},
        "sub": {("Parent", ""): "lab", ("QOS", ""): "fast,scavenger", ("DefaultQOS", ""): "fast"},
    }
    assert found.seats == {
        Seat("no", "sub"): {},
        Seat("ada", "sub"): {("GrpJobs", ""): "3", ("QOS", ""): "-fast,+scavenger"},
        Seat("ada", "lab", "short"): {("Fairshare", ""): "2"},
        Seat("ada", "lab"): {},
    }
    assert found.users == {"no": {}, "ada": {("AdminLevel", ""): "operator"}}


def test_what_is_left_out_is_left_alone(tmp_path: Path) -> None:
    found = policy(tmp_path, "slurm_conf:\n  KillWait: 60\n  SchedulerParameters: [bf_continue, bf_window=60]\n")
    assert (found.qos, found.accounts, found.users, found.seats) == (None, None, None, None)
    assert found.slurm_conf == {"KillWait": "60", "SchedulerParameters": "bf_continue,bf_window=60"}


def test_the_example_of_the_page_is_right(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "administer.md").read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    found = policy(tmp_path, example)
    assert Seat("bob", "vision", "short") in (found.seats or {})
    assert found.nodes["n[1-64]"]["gres_conf"] == "Name=gpu Type=h100 File=/dev/nvidia[0-7]"


def test_the_recommended_policy_is_right() -> None:
    found = read_policy_file(ROOT / "slurm" / "policy.yaml")
    assert list(found.qos or ()) == ["interactive", "production", "scavenger"]
    assert found.users is None
