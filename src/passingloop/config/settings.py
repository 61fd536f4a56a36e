"""What can be set. Values come from the YAML in ``config/``; these classes hold the types, units and limits.

The docstring under a field is its reference: ``docs/reference/config.md`` is generated from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from passingloop.config.bounds import at_least, between, inside, limited, matches, one_or_more, positive
from passingloop.config.build import NamedClasses, load_class
from passingloop.config.data import AnyData
from passingloop.config.running import (
    CheckpointConfig,
    ClusterConfig,
    ExportConfig,
    LauncherConfig,
    ResourcesConfig,
    RetryConfig,
    SweepConfig,
    TrackingConfig,
)
from passingloop.config.watching import DEFAULT_WATCH, NOBODY, NotifyConfig, WatchConfig
from passingloop.errors import ConfigError

TASKS = {
    "classification": "passingloop.tasks.classification.Classification",
    "causal_lm": "passingloop.tasks.causal_lm.CausalLM",
    "regression": "passingloop.tasks.regression.Regression",
    "multilabel": "passingloop.tasks.multilabel.Multilabel",
}
"""What `task` can be: the class of each, imported only when it is chosen."""

OPTIMIZERS = {
    "adamw": "passingloop.train.optim.adamw.AdamW",
    "adafactor": "passingloop.train.optim.adafactor.Adafactor",
}
"""What `optim` can be: for each `optim.kind` its class, settings and update in one, imported only when it is chosen."""

if TYPE_CHECKING:
    from torch import Tensor

    Task = str
else:
    Task = Literal[tuple(TASKS)]
Precision = Literal["auto", "fp32", "bf16"]


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

    rslora: bool = False
    """Scale the low-rank product by alpha / √rank (rsLoRA, arXiv:2312.03732), which suits larger ranks."""

    dora: bool = False
    """Learn the norm of each row of the adapted weights separately (DoRA, arXiv:2402.09353)."""

    quantize: Literal["none", "nf4", "auto"] = "none"
    """How the frozen weights beside the factors are held: `nf4` in 4 bits (QLoRA, arXiv:2305.14314; needs
    bitsandbytes); `auto` in 4 bits only if the GPU's memory has no room for them otherwise, as the first attempt
    finds."""


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
    """`fp32`; `bf16` (autocast, fp32 master weights); `auto` is bf16 where the hardware computes it and a layer is
    trained faster with it, which is measured."""

    seed: int = limited(between(0, 2**32 - 1))
    """Fixes the order of examples, new weights and dropout."""

    deterministic: bool
    """Use deterministic kernels only, so that the same run gives the same bits."""

    kernels: Literal["auto", "plain"] = "auto"
    """`auto` uses the kernels of liger-kernel on a GPU, if it is installed and they give the same results; `plain` does
    not. Changes speed, not the result."""

    class_weights: Literal["none", "balanced"]
    """`balanced` weighs each class by the inverse of its frequency (`task=classification`)."""

    pause_at: float | None = limited(inside(0.0, 1.0), None)
    """Pause after this share of all steps, validated and saved; the same run without it continues. The schedule of the
    learning rate is that of the whole length. Null trains to the end."""

    eval_every: int | Literal["epoch"] = limited(one_or_more)
    """Validate every so many steps; `epoch` validates at the end of every epoch."""

    log_every: int = limited(one_or_more)
    """Record the training loss every so many steps."""

    compile: bool | Literal["auto"] = "auto"
    """Compile the model's blocks (torch.compile); `auto` does it on GPUs, for long runs, if it is measured to be
    faster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig(ABC):
    """What every optimizer has: the learning rate with its schedule, weight decay, clipping of the gradient."""

    CHOICES: ClassVar[Mapping[str, type[OptimConfig]]] = NamedClasses(OPTIMIZERS)

    lr: float = limited(positive)
    """Peak learning rate."""

    weight_decay: float = limited(at_least(0.0))
    """Decoupled weight decay; norms and biases get none."""

    warmup: float = limited(at_least(0.0))
    """Warm-up from zero to `optim.lr`: below 1 a fraction of all steps, from 1 on a number of steps."""

    schedule: Literal["linear", "cosine", "constant"]
    """How the rate falls to zero after the warm-up; `constant` keeps it."""

    grad_clip: float | None = limited(positive)
    """Largest 2-norm of the whole gradient; null does not clip."""

    kind: str = "adamw"
    """Set by the choice of the group, as in `optim=adafactor`."""

    def contradictions(self) -> Iterator[str]:
        """A sentence for each combination of settings that cannot work."""
        yield from ()

    @abstractmethod
    def blank_state(self, parameter: Tensor) -> dict[str, Tensor]:
        """The optimizer's state of `parameter` before its first update, by name, sharded as `parameter` is.

        A checkpoint holds these tensors and nothing else of an optimizer.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """The whole configuration of a run."""

    name: str = limited(
        matches(r"(?!\.{1,2}$|\.passingloop)[A-Za-z0-9._-]{1,64}", "1 to 64 letters, digits, '.', '_' and '-'")
    )
    """What you call the experiment: the folder under `run_root`."""

    run_root: Path
    """Folder of all runs. `$PASSINGLOOP_RUN_ROOT` sets the default."""

    cache_root: Path
    """Folder of prepared data; may be shared by a group. `$PASSINGLOOP_CACHE` sets the default."""

    run_mode: str = limited(matches(r"0?7[0-7][0-7]", "an octal mode such as 0700 or 0750"))
    """Octal mode of the run's folders; files get it without the execute bits."""

    rerun: bool
    """Start afresh beside an existing run, instead of continuing it or saying that it is done."""

    dry_run: bool
    """Show what would be submitted (`launcher=slurm`), and submit nothing."""

    estimate: bool = False
    """Compare when Slurm would start it (`launcher=slurm`) in other partitions, QOS and sizes, and submit nothing."""

    timing: bool = False
    """Print where the time went, from the command to the end of the first step."""

    task: Task
    """`classification` (one label per text), `multilabel` (any number of labels), `regression` (numbers) or `causal_lm`
    (predict the next token)."""

    model: ModelConfig
    adapter: AdapterConfig
    data: AnyData
    trainer: TrainerConfig
    optim: OptimConfig
    checkpoint: CheckpointConfig
    export: ExportConfig
    launcher: LauncherConfig
    resources: ResourcesConfig
    cluster: ClusterConfig
    sweep: SweepConfig
    retry: RetryConfig
    tracking: TrackingConfig
    watch: WatchConfig = DEFAULT_WATCH
    notify: NotifyConfig = NOBODY

    def __post_init__(self) -> None:
        """Check what no single field can.

        Raises:
            ConfigError: two settings exclude each other, or one needs another.
        """
        for problem in _contradictions(self):
            raise ConfigError(problem)


def _contradictions(config: RunConfig) -> Iterator[str]:
    trainer, data = config.trainer, config.data
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
    for key, folder in (("run_root", config.run_root), ("cache_root", config.cache_root)):
        if folder.parts[:1] == ("gs:",):
            yield (
                f"You set {key}={str(folder).replace('gs:/', 'gs://', 1)}, but it must be a local folder. Set "
                "export.to=gs://… to have the finished model uploaded."
            )
    yield from config.resources.contradictions(config.cluster.extra)
    yield from data.contradictions("data")
    yield from load_class(TASKS[config.task])().contradictions(config)
    yield from config.optim.contradictions()
    yield from config.sweep.contradictions()
    yield from config.watch.contradictions()
