"""Where and how a run is executed: nothing of it changes what is learned. See `passingloop.config.settings`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from passingloop.config.bounds import Span, at_least, count_or_span, limited, matches, one_or_more, positive
from passingloop.config.build import Options

TIME_LIMIT = r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+(:\d\d){0,2}"
"""sbatch(1), --time: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]]."""


LOSS = "validation/loss"

FIXED_SIZE = ("gres", "gpus-per-node", "gpus-per-task", "gpus-per-socket")
"""Options of sbatch that say how many GPUs a job has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """When the state is saved. It is always saved at the end of an epoch, after the last step (so that an export which
    fails can be made without training again), and when the run is asked to stop."""

    every: Literal["auto"] | None
    """`auto` saves as often as pays off: the interval follows from how long a save holds up training and how often
    this run is cut off (Young 1974), and is 15 minutes at most. Null leaves it to the next two."""

    every_steps: int | None = limited(one_or_more)
    """Save every so many steps as well; null does not."""

    every_minutes: float | None = limited(positive)
    """Save when so many minutes have passed since the last save; null does not."""

    keep: int = limited(at_least(2))
    """How many of the newest checkpoints stay; two at least, so that a damaged one has a predecessor."""

    keep_best: bool
    """Keep the one with the lowest validation loss as well, and save when a validation is better than all before."""

    fail_after: float = limited(positive)
    """Minutes. A run that cannot save (disk full, quota) trains on; after so long without a save it fails."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryConfig:
    """How often a submitted run is taken up again by itself, by the cause of its end. Null sets no limit. A run that
    ends twice at the same step with the same error is not taken up again, whatever is allowed."""

    preempted: int | None = limited(at_least(0))
    """After it has made way for another job."""

    timeout: int | None = limited(at_least(0))
    """After its time limit, as long as every attempt gets further than the one before."""

    node_fail: int | None = limited(at_least(0))
    """After a node has failed; the next attempt avoids that node."""

    crash: int | None = limited(at_least(0))
    """After an error, or a signal that nobody owns up to."""

    oom: int | None = limited(at_least(0))
    """After memory has run out. Of a GPU's: with half the micro-batch, for which a run in a shell is taken up again,
    too. Of a node's: with twice the memory, `retry.max_mem` at most."""

    hung: int | None = limited(at_least(0), 2)
    """After it has made no progress for `watch.stuck_minutes`."""

    max_mem: str | None = limited(matches(r"\d+[KMGT]?", "a size such as 16G or 800M"))
    """Most host memory per node that is asked for after it ran out; null sets no limit but the cluster's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LauncherConfig:
    """Where the run is executed."""

    kind: Literal["shell", "slurm"]
    """Set by the choice of the group: `launcher=shell` runs here and now, `launcher=slurm` submits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourcesConfig:
    """What a run uses of a machine or a cluster. None of it changes what is learned."""

    nodes: int | Literal["auto"] | Span = limited(count_or_span(1))
    """Machines. `auto` is one when submitting, and here what the allocation has. Of a range such as `1-4` the number is
    chosen with which the run finishes soonest, each time that its job is submitted or requeued."""

    gpus: int | Literal["auto"] | Span = limited(count_or_span(0))
    """GPUs per node. `auto` takes those that are visible; submitted, it is one where the partition has any. A range
    such as `1-8` is as for `resources.nodes`; here it takes those that are visible."""

    gpu_type: str | None = limited(matches(r"[A-Za-z0-9][\w.+-]*", "the name of a type, as in Slurm's Gres"), None)
    """Type of the GPUs as the cluster names it, such as `a100`, or a MIG profile such as `1g.10gb`; null takes any."""

    shards: int | None = limited(one_or_more, None)
    """Parts of one GPU (gres/shard) instead of whole ones. Other jobs compute on the same GPU, and Slurm does not keep
    them apart: for experiments. Null asks for whole GPUs."""

    tasks: int | Literal["auto"] = limited(one_or_more)
    """Processes per node; `auto` is one per GPU, or 1."""

    cpus: int | Literal["auto"] = limited(one_or_more)
    """CPU threads per process. `auto` shares those that are available among the processes; submitted, it asks for
    the share of a node's CPUs that goes with its GPUs."""

    mem: str | None = limited(matches(r"\d+[KMGT]?", "a size such as 16G or 800M"))
    """Host memory per node, `K`, `M`, `G` or `T`; null leaves it to the partition."""

    strategy: Literal["auto", "ddp", "fsdp"]
    """How several processes share a model: `ddp` has it whole in each of them; `fsdp` spreads weights, gradients and
    moments over them. `auto` is `ddp` if that leaves room for a row on each GPU, else `fsdp`; the header says which.
    On CPUs it is `ddp`."""

    time: str | None = limited(matches(TIME_LIMIT, "minutes, H:MM:SS or D-HH:MM:SS"))
    """Longest time that an attempt may take, in Slurm's notation; null leaves it to the partition."""

    @property
    def is_ranged(self) -> bool:
        """Whether the size is to be chosen."""
        return isinstance(self.gpus, Span) or isinstance(self.nodes, Span)

    def contradictions(self, extra: Mapping[str, str | int | bool]) -> Iterator[str]:
        """A sentence for each combination that cannot work; also with the `extra` options of sbatch."""
        if self.shards and (self.gpus not in ("auto", 1) or self.nodes not in ("auto", 1) or self.gpu_type):
            yield (
                f"You set resources.shards={self.shards}, which are parts of one GPU of any type, and more GPUs, nodes "
                "or a type as well. Leave resources.gpus, resources.nodes and resources.gpu_type out, or "
                "resources.shards."
            )
        for key in (key for key in extra if key.replace("_", "-") in FIXED_SIZE):
            if self.shards or self.gpu_type:
                setting = "shards" if self.shards else "gpu_type"
                yield f"You set resources.{setting} and cluster.extra.{key}, which say the same. Leave one of them out."
        ranges = {"gpus": self.gpus, "nodes": self.nodes}
        ranged = [f"resources.{key}={value}" for key, value in ranges.items() if isinstance(value, Span)]
        if isinstance(self.gpus, Span) and self.tasks not in ("auto", 1):
            yield (
                f"You set resources.gpus={self.gpus} and resources.tasks={self.tasks}, but there is one process per "
                "GPU, so their number follows from the range. Leave resources.tasks out."
            )
        for key in (key for key in extra if ranged and key.replace("_", "-") in FIXED_SIZE):
            yield (
                f"You set {ranged[0]} and cluster.extra.{key}={extra[key]}, but that fixes what is to be chosen. Leave "
                "one of them out; resources.gpu_type=NAME asks for GPUs of a type."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterConfig:
    """Where on the cluster a submitted run goes. Null leaves the choice to Slurm."""

    partition: str | None
    """Partition, or several with commas: the one that starts first."""

    account: str | None
    """Account that pays."""

    qos: str | None
    """Quality of service."""

    extra: Mapping[str, str | int | bool]
    """Further options of sbatch by their long names, such as `+cluster.extra.constraint=a100`; true for one
    without a value."""

    prepare_ahead: Literal["auto", "always", "never"]
    """Whether a job without GPUs prepares the data, and the run's own waits for it: `auto` where that takes more than a
    minute, `always` where they are not prepared yet; `never` leaves it to the run."""

    prepare_partition: str | None
    """Partition of that job; null is the run's own."""

    prepare_qos: str | None
    """Quality of service of that job; null is the run's own."""

    simulated_gpus: bool
    """The cluster's GPUs are none, as those of `scripts/dev-slurm`: processes are placed on them, and compute on
    their CPUs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig:
    """Where the finished model goes, beside `export/` in the run directory."""

    to: str | None = limited(matches(r"gs://[^/\s*?\[\]]+(/[^/\s*?\[\]]+)*/?", "a folder such as gs://bucket/models"))
    """A folder in Google Cloud Storage. The model is uploaded to `<export.to>/<name>/<signature>/`, and the run is
    done when it is there; null uploads nothing."""

    credentials: str
    """Who writes there: `default` finds credentials as Google's tools do, a path is a service account's key file."""

    merge: bool = True
    """With LoRA, export the model with the factors merged into its weights; `false` exports the factors alone, which
    need the pretrained model beside them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepConfig:
    """How the points of a sweep (`-m`) are chosen, which of them train to the end, and how they are submitted."""

    parallel: int | None = limited(one_or_more)
    """At most so many runs at once; null sets no limit."""

    pack: int | Literal["auto"] = limited(one_or_more)
    """Runs side by side in one job, sharing its GPU: for runs that are too small to keep a GPU busy. `auto` measures
    the first run of a job, and lets up to 4 train at once, as far as they fit. 1 gives each run a job of its own."""

    search: Literal["grid", "random", "halving", "asha", "tpe"] = "grid"
    """`grid` trains every combination of the values, `random` so many points as `sweep.points` says. With `halving` and
    `asha` all points train to a first rung, and the best go on from there: with `halving` once all of a rung have a
    value, with `asha` at once. `tpe` trains each point to the end, and draws later ones near the best of those before
    (tree-structured Parzen estimator; needs optuna)."""

    points: int | None = limited(one_or_more, None)
    """Points that are drawn: values from distributions such as `log(1e-5,1e-3)`, and some of the combinations of other
    values. Null takes all combinations."""

    max_points: int | None = limited(one_or_more, None)
    """For `asha` and `tpe`: points that are drawn in all, the later ones whenever a place becomes free; null draws none
    later."""

    metric: str = limited(matches(r"validation/[^\s/][^\s]*", "a metric of the validation, as in metrics.jsonl"), LOSS)
    """What points are compared by, such as `validation/accuracy`."""

    goal: Literal["auto", "min", "max"] = "auto"
    """Whether points with less (`min`) or more (`max`) of `sweep.metric` are the better ones. `auto` goes by its name,
    and knows those of losses, errors and the usual scores; for another one it has to be set."""

    eta: int = limited(at_least(2), 3)
    """One of so many points of a rung goes on to the next, in which it trains so many times as long."""

    rungs: int = limited(one_or_more, 3)
    """Rungs, the last of which is the end of training. With 3 and `sweep.eta=3` points pause after a ninth and after a
    third of their steps."""

    seed: int = limited(at_least(0), 0)
    """Fixes the points that are drawn. With more points, those of before are drawn again."""

    space: Mapping[str, str] = Options()
    """Set by the distributions on the command line, such as `optim.lr=log(1e-5,1e-3)`."""

    def contradictions(self) -> Iterator[str]:
        """A sentence for each combination that cannot work."""
        if self.points is not None and self.search == "grid":
            yield (
                f"You set sweep.points={self.points}, but sweep.search=grid trains every combination. Set "
                "sweep.search=random, halving or asha, or leave sweep.points out."
            )
        if self.max_points is not None and self.search not in ("asha", "tpe"):
            yield (
                f"You set sweep.max_points={self.max_points}, but sweep.search={self.search} begins all its points at "
                "once. Set sweep.points, or sweep.search=asha or tpe."
            )
        elif self.max_points is not None and (self.points is None or self.max_points < self.points):
            yield (
                f"You set sweep.max_points={self.max_points}, which is how many points are drawn in all, and "
                f"sweep.points={'null' if self.points is None else self.points}, with how many it begins. Set "
                "sweep.points to that many or fewer."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackingConfig:
    """Weights & Biases, and samples of what the nodes do. `metrics.jsonl` in the run directory is always written."""

    mode: Literal["auto", "wandb", "offline", "none"]
    """`wandb` is online; `auto` is online if a key and the network are there, else offline; `none` uses no W&B."""

    project: str
    """W&B project."""

    entity: str | None
    """W&B user or team; null is the account's default."""

    tags: tuple[str, ...]
    """W&B tags."""

    sample_seconds: float = limited(at_least(0.0), 5.0)
    """Seconds between two samples of what GPUs and CPUs do, in `samples/` of the run directory; with many GPUs they are
    further apart, so that a node writes 2 MB a day at most. 0 takes none."""
