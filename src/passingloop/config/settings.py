"""What can be set. Values come from the YAML in ``config/``; these classes hold the types, units and limits.

The docstring under a field is its reference: ``docs/reference/config.md`` is generated from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from passingloop.config.limits import Limit, at_least, below, between, matching, one_or_more, positive
from passingloop.errors import ConfigError

TIME_LIMIT = r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+(:\d\d){0,2}"
"""sbatch(1), --time: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]]."""

Task = Literal["classification", "causal_lm"]
Precision = Literal["auto", "fp32", "bf16"]


def limited(limit: Limit) -> Any:
    """A dataclass field whose value must satisfy `limit`."""
    return field(metadata={"limit": limit})


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Which pretrained model is fine-tuned."""

    path: str
    """A Hugging Face model id, or a folder that `AutoModel.from_pretrained` reads."""

    revision: str | None
    """Branch, tag or commit on the hub; null is the default branch."""

    trust_remote_code: bool
    """Run Python code that comes with the model. Off, and meant to stay off."""

    dropout: float | None = limited(between(0.0, 1.0))
    """Probability for every dropout of the model; null keeps the model's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterConfig:
    """Whether all weights are trained, or a low-rank addition to them (LoRA, arXiv:2106.09685)."""

    kind: Literal["none", "lora"]
    """`none` trains every weight; `lora` freezes them and trains low-rank factors beside the linear layers."""

    rank: int = limited(one_or_more)
    """Rank r of the factors."""

    alpha: float = limited(positive)
    """The low-rank product is scaled by alpha / rank."""

    dropout: float = limited(between(0.0, 1.0))
    """Dropout probability on the input of the factors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where the examples come from and what of them is used."""

    source: Literal["stdlib_docs", "files"]
    """Set by the choice of the group: `data=stdlib_docs` or `data=files`."""

    train: tuple[str, ...]
    """Training data. For `files`: paths or globs, one or a list."""

    validation: tuple[str, ...]
    """Validation data; empty splits `data.validation_fraction` off the training data."""

    test: tuple[str, ...]
    """Test data; empty splits `data.test_fraction` off the training data."""

    format: Literal["auto", "csv", "tsv", "jsonl", "parquet", "text"]
    """Format of the files; `auto` goes by the file name, before any `.gz` or `.zst`."""

    text: str
    """Column that holds the text."""

    label: str
    """Column that holds the label (`task=classification`): strings or integers."""

    messages: str | None
    """Column that holds a chat, a list of `{role, content}` (`task=causal_lm`). Set it to train on the
    assistant's answers only; null trains on `data.text`."""

    limit: int | None = limited(one_or_more)
    """At most this many examples per part, the first ones in stable-hash order; null takes all."""

    max_length: int | None = limited(at_least(2))
    """Tokens per example. Longer texts are cut (classification) or continued in further examples (causal_lm).
    Null is the model's own limit, at most 256 for classification and 1024 for causal_lm."""

    validation_fraction: float = limited(between(0.0, 0.9))
    """Share of the training examples set aside when `data.validation` is empty, by a stable hash of the text."""

    test_fraction: float = limited(between(0.0, 0.9))
    """Share of the training examples set aside when `data.test` is empty, by a stable hash of the text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerConfig:
    """How long and in what portions is learned. Everything is per optimizer step over all devices."""

    epochs: float | None = limited(positive)
    """Passes over the training data, fractions allowed. Null: 5, unless `trainer.steps` is set."""

    steps: int | None = limited(one_or_more)
    """Optimizer steps, instead of `trainer.epochs`."""

    batch_size: int | None = limited(one_or_more)
    """Examples per optimizer step, over all devices together. Null: 32, unless `trainer.batch_tokens` is set."""

    batch_tokens: int | None = limited(at_least(2))
    """Tokens per optimizer step, over all devices together, instead of `trainer.batch_size`."""

    micro_batch: int | Literal["auto"] = limited(one_or_more)
    """Examples per device in one forward pass; `auto` fits them to the memory. Changes speed, not the result."""

    precision: Precision
    """`fp32`; `bf16` (autocast, fp32 master weights); `auto` is bf16 where the hardware computes it."""

    seed: int = limited(between(0, 2**32 - 1))
    """Fixes the order of examples, new weights and dropout."""

    deterministic: bool
    """Use deterministic kernels only, so that the same run gives the same bits."""

    class_weights: Literal["none", "balanced"]
    """`balanced` weighs each class by the inverse of its frequency (`task=classification`)."""

    eval_every: int | Literal["epoch"] = limited(one_or_more)
    """Validate every so many steps; `epoch` validates at the end of every epoch."""

    log_every: int = limited(one_or_more)
    """Record the training loss every so many steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """AdamW (arXiv:1711.05101) and its learning-rate schedule."""

    lr: float = limited(positive)
    """Peak learning rate."""

    weight_decay: float = limited(at_least(0.0))
    """Decoupled weight decay; norms and biases get none."""

    betas: tuple[float, ...] = limited(below(0.0, 1.0))
    """Decay rates of the first and second moment."""

    eps: float = limited(positive)
    """Added to the denominator of the update."""

    warmup: float = limited(at_least(0.0))
    """Warm-up from zero to `optim.lr`: below 1 a fraction of all steps, from 1 on a number of steps."""

    schedule: Literal["linear", "cosine", "constant"]
    """How the rate falls to zero after the warm-up; `constant` keeps it."""

    grad_clip: float | None = limited(positive)
    """Largest 2-norm of the whole gradient; null does not clip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointConfig:
    """When the state is saved. It is always saved at the end of an epoch and when the run is asked to stop."""

    every_steps: int | None = limited(one_or_more)
    """Save every so many steps; null saves at epoch ends and by `checkpoint.every_minutes`."""

    every_minutes: float | None = limited(positive)
    """Save when so many minutes have passed since the last save; null does not."""

    keep: int = limited(at_least(2))
    """How many of the newest checkpoints stay; two at least, so that a damaged one has a predecessor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LauncherConfig:
    """Where the run is executed."""

    kind: Literal["shell", "slurm"]
    """Set by the choice of the group: `launcher=shell` runs here and now, `launcher=slurm` submits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourcesConfig:
    """What a run uses of a machine or a cluster. None of it changes what is learned."""

    nodes: int | Literal["auto"] = limited(one_or_more)
    """Machines. `auto` is one when submitting, and here what the allocation has."""

    gpus: int | Literal["auto"] = limited(at_least(0))
    """GPUs per node. `auto` takes those that are visible; submitted, it is one where the partition has any."""

    tasks: int | Literal["auto"] = limited(one_or_more)
    """Processes per node; `auto` is one per GPU, or 1."""

    cpus: int | Literal["auto"] = limited(one_or_more)
    """CPU threads per process. `auto` shares those that are available among the processes; submitted, it asks for
    the share of a node's CPUs that goes with its GPUs."""

    mem: str | None = limited(matching(r"\d+[KMGT]?", "a size such as 16G or 800M"))
    """Host memory per node, `K`, `M`, `G` or `T`; null leaves it to the partition."""

    time: str | None = limited(matching(TIME_LIMIT, "minutes, H:MM:SS or D-HH:MM:SS"))
    """Longest time that an attempt may take, in Slurm's notation; null leaves it to the partition."""


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

    simulated_gpus: bool
    """The cluster's GPUs are none, as those of `scripts/dev-slurm`: processes are placed on them, and compute on
    their CPUs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepConfig:
    """How the runs of a sweep (`-m`) are submitted."""

    parallel: int | None = limited(one_or_more)
    """At most so many runs at once; null sets no limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackingConfig:
    """Weights & Biases. `metrics.jsonl` in the run directory is always written."""

    mode: Literal["auto", "wandb", "offline", "none"]
    """`wandb` is online; `auto` is online if a key and the network are there, else offline; `none` uses no W&B."""

    project: str
    """W&B project."""

    entity: str | None
    """W&B user or team; null is the account's default."""

    tags: tuple[str, ...]
    """W&B tags."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """The whole configuration of a run."""

    name: str = limited(matching(r"(?!\.{1,2}$|\.passingloop)[A-Za-z0-9._-]{1,64}", "1 to 64 letters, digits, '.', '_' and '-'"))
    """What you call the experiment: the folder under `run_root`."""

    run_root: Path
    """Folder of all runs. `$PASSINGLOOP_RUN_ROOT` sets the default."""

    cache_root: Path
    """Folder of prepared data; may be shared by a group. `$PASSINGLOOP_CACHE` sets the default."""

    run_mode: str = limited(matching(r"0?7[0-7][0-7]", "an octal mode such as 0700 or 0750"))
    """Octal mode of the run's folders; files get it without the execute bits."""

    rerun: bool
    """Start afresh beside an existing run, instead of continuing it or saying that it is done."""

    dry_run: bool
    """Show what would be submitted (`launcher=slurm`), and submit nothing."""

    task: Task
    """`classification` (one label per text) or `causal_lm` (predict the next token)."""

    model: ModelConfig
    adapter: AdapterConfig
    data: DataConfig
    trainer: TrainerConfig
    optim: OptimConfig
    checkpoint: CheckpointConfig
    launcher: LauncherConfig
    resources: ResourcesConfig
    cluster: ClusterConfig
    sweep: SweepConfig
    tracking: TrackingConfig

    def __post_init__(self) -> None:
        """Check what no single field can.

        Raises:
            ConfigError: two settings exclude each other, or one needs another.
        """
        for problem in _contradictions(self):
            raise ConfigError(problem)


def _contradictions(config: RunConfig) -> Iterator[str]:
    trainer, data, optim = config.trainer, config.data, config.optim
    if trainer.epochs is not None and trainer.steps is not None:
        yield (
            f"You set trainer.epochs={trainer.epochs:g} and trainer.steps={trainer.steps}, but each fixes the length "
            "of the run. Set one of them."
        )
    if trainer.batch_size is not None and trainer.batch_tokens is not None:
        yield (
            f"You set trainer.batch_size={trainer.batch_size} and trainer.batch_tokens={trainer.batch_tokens}, but "
            "each fixes the size of a step. Set one of them."
        )
    if data.source == "files" and not data.train:
        yield "data=files needs data.train: a path or a glob, such as data.train=train.csv."
    if data.source == "stdlib_docs" and (data.train or data.validation or data.test):
        yield (
            "data=stdlib_docs reads this Python's standard library and takes no data.train, data.validation or "
            "data.test. To train on your own files set data=files."
        )
    if data.validation_fraction + data.test_fraction > 0.9:
        yield (
            f"data.validation_fraction={data.validation_fraction} and data.test_fraction={data.test_fraction} leave "
            "less than a tenth to train on. Lower them."
        )
    if config.task == "classification" and data.messages is not None:
        yield f"You set data.messages={data.messages}, but chats have no labels. Set task=causal_lm, or data.text."
    if config.task == "causal_lm" and trainer.class_weights != "none":
        yield (
            f"You set trainer.class_weights={trainer.class_weights}, but task=causal_lm has no classes. Leave it out."
        )
    if len(optim.betas) != 2:
        yield f"optim.betas={list(optim.betas)} must be two numbers, such as [0.9,0.999]."
