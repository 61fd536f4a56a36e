"""What a policy says in vain, because of how the cluster is configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from passingloop.policy.entities import State
from passingloop.policy.fields import PREEMPT, QOS_LIST, SHARES, Option
from passingloop.policy.site_lines import read_settings, same_setting

LIMIT_STARTS = ("Max", "Min", "Grp")
BUDGETS = ("GrpTRESMins", "GrpWall")


def vain_settings(state: State, config: str) -> list[str]:
    """A sentence for each part of the policy that does nothing.

    Args:
        state: as it is to be.
        config: the output of ``scontrol show config``.
    """
    settings, _ = read_settings(config)
    return list(_sentences(_options(state), settings, {option for one in state.qos.values() for option in one}))


def _options(state: State) -> set[Option]:
    everything = chain(state.qos.values(), state.accounts.values(), state.seats.values())
    return {option for options in everything for option in options}


def _sentences(used: set[Option], settings: Mapping[str, str], by_qos: set[Option]) -> Iterator[str]:
    enforced = set(settings.get("AccountingStorageEnforce", "").lower().split(","))
    names = {option for option, _ in used}
    if any(name.startswith(LIMIT_STARTS) for name in names) and not enforced & {"limits", "safe", "all"}:
        yield "Limits are not enforced: AccountingStorageEnforce in slurm.conf has no `limits`."
    if QOS_LIST in used and not enforced & {"qos", "all"}:
        yield "Anybody may use any QOS: AccountingStorageEnforce in slurm.conf has no `qos`."
    if PREEMPT in used and settings.get("PreemptType") != "preempt/qos":
        yield f"No QOS preempts another: PreemptType in slurm.conf is {settings.get('PreemptType')}, not preempt/qos."
    if settings.get("PriorityType") != "priority/multifactor":
        yield f"Shares and priorities count for nothing: PriorityType is {settings.get('PriorityType')}."
    else:
        yield from _weightless(used, settings, by_qos)
    never = same_setting("NONE", settings.get("PriorityUsageResetPeriod", "NONE"))
    if names & set(BUDGETS) and never and same_setting("0:00:00", settings.get("PriorityDecayHalfLife", "")):
        yield "Budgets never renew: slurm.conf has neither PriorityUsageResetPeriod nor PriorityDecayHalfLife."


def _weightless(used: set[Option], settings: Mapping[str, str], by_qos: set[Option]) -> Iterator[str]:
    if SHARES in used and settings.get("PriorityWeightFairShare") == "0":
        yield "Shares count for nothing: PriorityWeightFairshare in slurm.conf is 0."
    if ("Priority", "") in by_qos and settings.get("PriorityWeightQOS") == "0":
        yield "The priorities of QOS count for nothing: PriorityWeightQOS in slurm.conf is 0."
