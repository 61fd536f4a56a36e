"""The settings of QOS, accounts and users: their keys in the file, and sacctmgr's names for the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from passingloop.policy import kinds
from passingloop.policy.kinds import Kind

Option = tuple[str, str]
"""sacctmgr's name of a setting, and the resource (TRES) that it limits: ``("MaxTRESPU", "gres/gpu")``. Without
resource the second is empty."""

Options = Mapping[Option, str]
"""Settings of a QOS, an account or a user. What has its default is not in it."""

PARENT, DESCRIPTION, ORGANIZATION = ("Parent", ""), ("Description", ""), ("Organization", "")
SHARES, QOS_LIST, DEFAULT_QOS, PREEMPT = ("Fairshare", ""), ("QOS", ""), ("DefaultQOS", ""), ("Preempt", "")
DEFAULT_ACCOUNT, ADMIN_LEVEL = ("DefaultAccount", ""), ("AdminLevel", "")

ROOT = "root"
"""The account at the top, which Slurm makes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A setting."""

    key: str
    """In the file."""
    option: str
    """sacctmgr's name of it, for ``set`` and for ``format=``."""
    kind: Kind
    default: str = ""
    """What sacctmgr shows if nothing is set, in the form of the kind."""
    clear: str = "-1"
    """What sacctmgr is given to remove it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceField:
    """A limit that is set for each resource: a count, or minutes of use."""

    pattern: str
    """Its keys in the file, with {} for the resource."""
    option: str
    minutes: bool = False

    def resource_keys(self) -> Iterator[tuple[str, str, Kind]]:
        """Each key in the file, the resource, and the kind of its values."""
        if self.minutes:
            yield from ((self.pattern.format(noun), tres, kinds.HOURS) for noun, tres in HOURS_OF.items())
        else:
            yield from ((self.pattern.format(noun), tres, kind_of(tres)) for noun, tres in COUNTS_OF.items())

    @property
    def general_key(self) -> str:
        """The key in the file for a mapping from any resources to counts or minutes."""
        return self.pattern.format("tres").replace("hours", "minutes")


COUNTS_OF = {"gpus": "gres/gpu", "cpus": "cpu", "memory": "mem", "nodes": "node"}
HOURS_OF = {"gpu": "gres/gpu", "cpu": "cpu", "node": "node"}


def kind_of(tres: str) -> Kind:
    """The kind of counts of a resource."""
    return kinds.MEMORY if tres == "mem" else kinds.COUNT


QOS_FIELDS = (
    Field(key="description", option="Description", kind=kinds.TEXT),
    Field(key="priority", option="Priority", kind=kinds.COUNT, default="0"),
    Field(key="preempts", option="Preempt", kind=kinds.QOS_NAMES, clear=""),
    Field(key="preempt_mode", option="PreemptMode", kind=kinds.PREEMPT_MODE, default="cluster", clear="cluster"),
    Field(key="preempt_exempt_time", option="PreemptExemptTime", kind=kinds.TIME_SPAN),
    Field(key="grace_time", option="GraceTime", kind=kinds.SECONDS, default="0"),
    Field(key="usage_factor", option="UsageFactor", kind=kinds.FACTOR, default="1"),
    Field(key="usage_threshold", option="UsageThreshold", kind=kinds.FRACTION),
    Field(key="limit_factor", option="LimitFactor", kind=kinds.FACTOR),
    Field(key="flags", option="Flags", kind=kinds.FLAGS),
    Field(key="max_time", option="MaxWall", kind=kinds.LIMIT_TIME),
    Field(key="total_time", option="GrpWall", kind=kinds.LIMIT_TIME),
    Field(key="max_jobs", option="GrpJobs", kind=kinds.COUNT),
    Field(key="max_submitted_jobs", option="GrpSubmitJobs", kind=kinds.COUNT),
    Field(key="max_ageing_jobs", option="GrpJobsAccrue", kind=kinds.COUNT),
    Field(key="max_jobs_per_user", option="MaxJobsPU", kind=kinds.COUNT),
    Field(key="max_submitted_jobs_per_user", option="MaxSubmitJobsPU", kind=kinds.COUNT),
    Field(key="max_ageing_jobs_per_user", option="MaxJobsAccruePU", kind=kinds.COUNT),
    Field(key="max_jobs_per_account", option="MaxJobsPA", kind=kinds.COUNT),
    Field(key="max_submitted_jobs_per_account", option="MaxSubmitJobsPA", kind=kinds.COUNT),
    Field(key="max_ageing_jobs_per_account", option="MaxJobsAccruePA", kind=kinds.COUNT),
)

QOS_RESOURCE_FIELDS = (
    ResourceField(pattern="max_{}_per_user", option="MaxTRESPU"),
    ResourceField(pattern="max_{}_per_account", option="MaxTRESPA"),
    ResourceField(pattern="max_{}_per_job", option="MaxTRES"),
    ResourceField(pattern="max_{}_per_node", option="MaxTRESPerNode"),
    ResourceField(pattern="min_{}_per_job", option="MinTRES"),
    ResourceField(pattern="max_{}", option="GrpTRES"),
    ResourceField(pattern="{}_hours", option="GrpTRESMins", minutes=True),
    ResourceField(pattern="running_{}_hours", option="GrpTRESRunMins", minutes=True),
    ResourceField(pattern="max_{}_hours_per_job", option="MaxTRESMins", minutes=True),
    ResourceField(pattern="running_{}_hours_per_user", option="MaxTRESRunMinsPU", minutes=True),
    ResourceField(pattern="running_{}_hours_per_account", option="MaxTRESRunMinsPA", minutes=True),
)

PLACE_FIELDS = (
    Field(key="shares", option="Fairshare", kind=kinds.SHARES, default="1"),
    Field(key="priority", option="Priority", kind=kinds.COUNT),
    Field(key="qos", option="QOS", kind=kinds.ALLOWED_QOS, clear=""),
    Field(key="default_qos", option="DefaultQOS", kind=kinds.QOS_NAME),
    Field(key="max_time", option="MaxWall", kind=kinds.LIMIT_TIME),
    Field(key="total_time", option="GrpWall", kind=kinds.LIMIT_TIME),
    Field(key="max_jobs", option="GrpJobs", kind=kinds.COUNT),
    Field(key="max_submitted_jobs", option="GrpSubmitJobs", kind=kinds.COUNT),
    Field(key="max_ageing_jobs", option="GrpJobsAccrue", kind=kinds.COUNT),
    Field(key="max_jobs_per_user", option="MaxJobs", kind=kinds.COUNT),
    Field(key="max_submitted_jobs_per_user", option="MaxSubmitJobs", kind=kinds.COUNT),
    Field(key="max_ageing_jobs_per_user", option="MaxJobsAccrue", kind=kinds.COUNT),
)
"""Of an account, and of a user in an account."""

PLACE_RESOURCE_FIELDS = (
    ResourceField(pattern="max_{}", option="GrpTRES"),
    ResourceField(pattern="max_{}_per_job", option="MaxTRES"),
    ResourceField(pattern="max_{}_per_node", option="MaxTRESPerNode"),
    ResourceField(pattern="{}_hours", option="GrpTRESMins", minutes=True),
    ResourceField(pattern="running_{}_hours", option="GrpTRESRunMins", minutes=True),
    ResourceField(pattern="max_{}_hours_per_job", option="MaxTRESMins", minutes=True),
)

ACCOUNT_FIELDS = (
    Field(key="parent", option="Parent", kind=kinds.ACCOUNT_NAME),
    Field(key="description", option="Description", kind=kinds.TEXT),
    Field(key="organization", option="Organization", kind=kinds.TEXT),
)
USER_FIELDS = (
    Field(key="default_account", option="DefaultAccount", kind=kinds.ACCOUNT_NAME),
    Field(key="admin_level", option="AdminLevel", kind=kinds.ADMIN_LEVEL, default="none", clear="None"),
)


@dataclass(frozen=True, slots=True)
class Schema:
    """The settings that one thing can have."""

    fields: tuple[Field, ...]
    resources: tuple[ResourceField, ...] = ()

    def field(self, option: str) -> Field:
        """The one with sacctmgr's name `option`."""
        return next(field for field in self.fields if field.option == option)

    def keys(self) -> dict[str, tuple[Option, Kind]]:
        """All keys in the file, except those for mappings of resources."""
        simple = {field.key: ((field.option, ""), field.kind) for field in self.fields}
        limits = {key: ((one.option, tres), kind) for one in self.resources for key, tres, kind in one.resource_keys()}
        return simple | limits

    def mappings(self) -> dict[str, ResourceField]:
        """The keys in the file for mappings of resources."""
        return {field.general_key: field for field in self.resources}

    def columns(self) -> list[str]:
        """sacctmgr's names of all settings, each once."""
        return [field.option for field in self.fields] + [field.option for field in self.resources]

    def shown(self, option: Option, value: str) -> tuple[str, str]:
        """The key and the value as the file has them; a resource without key of its own has ``key.resource``."""
        for key, (known, kind) in self.keys().items():
            if known == option and (kind is not kinds.HOURS or kinds.makes_hours(value)):
                return key, kind.shown(value)
        field = next(field for field in self.resources if field.option == option[0])
        return f"{field.general_key}.{option[1]}", self.resource_kind(field, option[1]).shown(value)

    @staticmethod
    def resource_kind(field: ResourceField, tres: str) -> Kind:
        """The kind of the values in a mapping of resources."""
        return kinds.COUNT if field.minutes else kind_of(tres)

    def word(self, option: Option, value: str | None) -> str:
        """The value as sacctmgr takes it; None removes the setting."""
        name, tres = option
        if tres:
            return f"{tres}={'-1' if value is None else value}"
        field = self.field(name)
        return field.clear if value is None else field.kind.word(value)


QOS = Schema(QOS_FIELDS, QOS_RESOURCE_FIELDS)
ACCOUNT = Schema(ACCOUNT_FIELDS + PLACE_FIELDS, PLACE_RESOURCE_FIELDS)
USER = Schema(USER_FIELDS)
SEAT = Schema(PLACE_FIELDS, PLACE_RESOURCE_FIELDS)
"""A user's place in an account."""
