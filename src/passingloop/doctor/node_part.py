"""The part of ``passingloop doctor`` that runs on a node: sent there by srun, it prints what it sees as JSON.

Usage, by srun only: ``python -P -m passingloop.doctor.node_part ORDER``, where ORDER is an `Order` as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from passingloop.doctor import folder_probe, gpu_probe, software_probe
from passingloop.doctor.folder_probe import Mark
from passingloop.doctor.node_checks import NodeEvidence
from passingloop.errors import PassingloopError, SlurmRefused
from passingloop.slurm.batch import Request
from passingloop.slurm.command import own_job_id, run_command

MINUTES = 5
"""Time limit of the job."""

MARGIN = 60.0
"""Seconds that the job may take once it has a node."""

OTHER_VERSION = "the passingloop of the node has another version"

GPU_OPTIONS = ("gres", "gpus-per-node")
LEFT_OUT = ("mail-type", "mail-user", "array", "dependency", "begin")
"""Options of sbatch that are nothing for a job of some seconds."""


Evidence = TypeVar("Evidence")


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What the node is to look at."""

    mark: str
    """The folder of the `Mark`."""
    token: str
    folders: dict[str, str]
    """Folders by setting."""
    tracking: str
    """The setting tracking.mode."""


def ask_node(wanted: Request, order: Order, patience: float) -> NodeEvidence:
    """Run the node's part in a job of one task like `wanted`, with its GPUs.

    Args:
        patience: seconds to wait for a node.

    Raises:
        SlurmMissing, SlurmSilent: as `run_command`.
        SlurmRefused: there is no node in time, or the part has failed there, or is of another version; the message
            has what srun said.
    """
    program = [sys.executable, "-P", "-m", __name__, json.dumps(asdict(order))]
    command = ["srun", *srun_options(wanted, patience), *program]
    text = run_command(*command, timeout=patience + MARGIN)
    answer = next((line for line in reversed(text.splitlines()) if line.startswith("{")), None)
    if answer is None:
        raise SlurmRefused(f"The node has printed no answer: {text[:200]}", text=text[:200])
    try:
        return from_json(NodeEvidence, json.loads(answer))
    except (KeyError, TypeError, ValueError) as error:
        raise SlurmRefused(f"It is not understood what the node says: {OTHER_VERSION}.", text=OTHER_VERSION) from error


def srun_options(wanted: Request, patience: float) -> list[str]:
    """The options for a small job in the same place as `wanted`."""
    extra = {name: value for name, value in wanted.extra if name not in LEFT_OUT}
    gpus = wanted.gpus if not extra.keys() & set(GPU_OPTIONS) else 0
    named: Mapping[str, object] = {
        "partition": wanted.partition,
        "account": wanted.account,
        "qos": wanted.qos,
        "gpus-per-node": gpus or None,
    }
    return [
        "--job-name=passingloop-doctor",
        "--nodes=1",
        "--ntasks=1",
        f"--time={MINUTES}",
        f"--immediate={patience:.0f}",
        "--quiet",
        "--input=none",
        "--export=ALL",
        "--mpi=none",
        *(f"--{name}={value}" for name, value in named.items() if value),
        *(f"--{name}" if value is True else f"--{name}={value}" for name, value in extra.items()),
    ]


def from_json(cls: type[Evidence], values: Mapping[str, Any]) -> Evidence:
    """The instance of the dataclass `cls` from what `asdict` has made of it, after its way as JSON.

    Raises:
        KeyError, TypeError, ValueError: it was made of another version of the class.
    """
    hints = get_type_hints(cls)
    names = [spec.name for spec in dataclasses.fields(cls)]  # type: ignore[arg-type]  # as in config.build
    return cls(**{name: _value(hints[name], values[name]) for name in names})


def _value(hint: Any, value: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        [hint] = [option for option in get_args(hint) if option is not type(None)]
        return None if value is None else _value(hint, value)
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], item) for item in value)
    if get_origin(hint) is dict:
        return {name: _value(get_args(hint)[1], item) for name, item in value.items()}
    return value


def main() -> int:
    """Print the evidence. Returns 0."""
    order = from_json(Order, json.loads(sys.argv[1]))
    software = software_probe.software()
    evidence = NodeEvidence(
        host=os.environ.get("SLURMD_NODENAME", software.host),
        time=time.time(),
        mark=folder_probe.answer(Mark(Path(order.mark), order.token)),
        folders={name: folder_probe.look_at(Path(path)) for name, path in order.folders.items()},
        software=software,
        gpus=gpu_probe.gpus(),
        wandb=software_probe.wandb(order.tracking),
        commands={
            "scontrol": _failure("scontrol", "show", "job", own_job_id(os.environ) or "0"),
            "sbatch": _failure("sbatch", "--version"),
        },
    )
    print(json.dumps(asdict(evidence)))
    return 0


def _failure(*command: str) -> str:
    """Why a command of Slurm fails here; empty if it does not."""
    try:
        run_command(*command, timeout=10.0)
    except PassingloopError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main())
