"""The settings of slurm.conf that decide what becomes of a job, from ``scontrol show config``."""

from __future__ import annotations

import re
from dataclasses import dataclass

CRED_EXPIRE = 120.0
"""Seconds, if AuthInfo has no cred_expire: slurm.conf(5)."""

MAX_ARRAY_SIZE = 1001
"""The default of MaxArraySize."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterRules:
    """Some settings of a cluster."""

    release: str = ""
    """As ``22.05.8``; empty if it is not shown, as the other texts."""
    preempt_type: str = ""
    preempt_mode: tuple[str, ...] = ()
    """In capitals; of jobs whose QOS or partition sets no other."""
    kill_wait: float = 30.0
    """Seconds from SIGTERM to SIGKILL."""
    job_requeue: bool = True
    """Whether a job that does not say so itself may be requeued."""
    cred_expire: float = CRED_EXPIRE
    """Seconds; a requeued job waits as long before it can start."""
    max_array_size: int = MAX_ARRAY_SIZE
    min_job_age: float = 300.0
    """Seconds for which slurmctld remembers a job that has ended; 0 is for ever."""
    accounting: str = ""
    """AccountingStorageType."""
    enforced: frozenset[str] = frozenset()
    """AccountingStorageEnforce, in lower case."""
    private: tuple[str, ...] = ()
    """PrivateData: what users see of their own only."""

    @property
    def preempts(self) -> bool:
        return self.preempt_type not in ("", "preempt/none", "(null)")

    @property
    def keeps_accounts(self) -> bool:
        return "slurmdbd" in self.accounting


def read_rules(text: str) -> ClusterRules:
    """Parse the output of ``scontrol show config``."""
    settings = dict(re.findall(r"^(\w+)[^\S\n]*=[^\S\n]*(\S+)", text, re.MULTILINE))
    expire = re.search(r"cred_expire=(\d+)", settings.get("AuthInfo", ""))
    return ClusterRules(
        release=settings.get("SLURM_VERSION", ""),
        preempt_type=settings.get("PreemptType", ""),
        preempt_mode=_words(settings.get("PreemptMode", "").upper()),
        kill_wait=float(settings.get("KillWait", 30)),
        job_requeue=settings.get("JobRequeue", "1") != "0",
        cred_expire=float(expire[1]) if expire else CRED_EXPIRE,
        max_array_size=int(settings.get("MaxArraySize", MAX_ARRAY_SIZE)),
        min_job_age=float(settings.get("MinJobAge", 300)),
        accounting=settings.get("AccountingStorageType", ""),
        enforced=frozenset(_words(settings.get("AccountingStorageEnforce", "").lower())),
        private=_words(settings.get("PrivateData", "").lower()),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word and word not in ("none", "(null)"))
