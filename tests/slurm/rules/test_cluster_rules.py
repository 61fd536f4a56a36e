"""Settings of a cluster, from what scontrol prints."""

from __future__ import annotations

from passingloop.slurm.rules.cluster_rules import ClusterRules, read_rules

SHOWN = """\
Configuration data as of 2026-11-29T13:22:08
AccountingStorageEnforce = associations,limits,qos
AccountingStorageType   = accounting_storage/slurmdbd
AuthInfo                = socket=/run/munge,cred_expire=10
JobRequeue              = 0
KillWait                = 60 sec
MaxArraySize            = 10001
MinJobAge               = 30 sec
PreemptMode             = GANG,SUSPEND
PreemptType             = preempt/qos
PreemptExemptTime       = 00:00:00
PrivateData             = jobs,usage
SLURM_VERSION           = 22.05.8
"""


def test_what_is_shown() -> None:
    assert read_rules(SHOWN) == ClusterRules(
        release="22.05.8",
        preempt_type="preempt/qos",
        preempt_mode=("GANG", "SUSPEND"),
        kill_wait=60.0,
        job_requeue=False,
        cred_expire=10.0,
        max_array_size=10001,
        min_job_age=30.0,
        accounting="accounting_storage/slurmdbd",
        enforced=frozenset({"associations", "limits", "qos"}),
        private=("jobs", "usage"),
    )


def test_what_is_not_shown_has_slurms_default() -> None:
    rules = read_rules("")
    assert rules == ClusterRules()
    assert (rules.cred_expire, rules.max_array_size, rules.job_requeue, rules.preempts) == (120.0, 1001, True, False)


def test_words_for_nothing() -> None:
    text = "AuthInfo = (null)\nPrivateData = none\nPreemptType = preempt/none\nAccountingStorageEnforce = none\n"
    rules = read_rules(text + "AccountingStorageType = accounting_storage/none\n")
    assert (rules.private, rules.enforced, rules.preempts, rules.keeps_accounts) == ((), frozenset(), False, False)
    assert read_rules("PreemptType = (null)\n").preempts is False
