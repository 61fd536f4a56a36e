"""What a node sees, against what the machine sees where the command is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from passingloop.doctor.finding import Finding
from passingloop.doctor.folder_checks import CLOCK_TOLERANCE, LOCAL_KINDS, FolderEvidence, file_clock
from passingloop.doctor.gpu_checks import GpuEvidence, driver, gpu_findings
from passingloop.doctor.software_checks import SoftwareEvidence, WandbEvidence, tracking


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkEvidence:
    """What a node sees of the folder that the command has made in run_root, with a locked file in it."""

    found: bool
    same: bool = False
    """Whether the file has the expected content."""
    lock: str = ""
    """``held``: the lock is seen. ``free``: the node got it as well. Else why it could not be tried."""
    error: str = ""
    """Why the node could not write its answer beside it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeEvidence:
    """What the node's part of the command says."""

    host: str
    time: float
    """The node's clock, seconds since the epoch."""
    mark: MarkEvidence
    folders: dict[str, FolderEvidence]
    """By setting."""
    software: SoftwareEvidence
    gpus: GpuEvidence
    wandb: WandbEvidence
    commands: dict[str, str]
    """Slurm's commands that a job uses: empty, or why it cannot use one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Here:
    """What the machine saw that has sent the node's part."""

    software: SoftwareEvidence
    began: float
    """Its clock before the node's part, and after; seconds since the epoch."""
    ended: float
    answered: bool
    """Whether the file that the node has renamed is seen here."""
    run_root: FolderEvidence
    cred_expire: float
    """Seconds."""
    real_gpus: bool
    """Whether the job was given GPUs that are not simulated."""


def node_findings(node: NodeEvidence, here: Here) -> Iterator[Finding]:
    """All findings about a node."""
    yield from sharing(node, here)
    yield from clocks(node, here)
    yield from commands(node)
    yield from environment(node, here)
    yield from driver(node.gpus, node.software.cuda, node.software.versions.get("torch", "?"), node.host)
    yield from gpu_findings(node.gpus, node.host, here.real_gpus)
    yield from tracking(node.wandb, node.host)
    for setting, folder in node.folders.items():
        if folder.error:
            what = f"{setting}={folder.path} cannot be used on {node.host}: {folder.error}."
            remedy = f"Set {setting} to a folder that exists on all nodes and that you may write to."
            yield Finding(setting, "problem", what, f"{node.host}: {folder.probed}", remedy)
        else:
            yield from file_clock(folder, setting, node.host)


def unseen_sharing(seen: FolderEvidence) -> Iterator[Finding]:
    """Whether nodes see run_root, as far as that can be told without asking one."""
    if seen.kind in LOCAL_KINDS:
        what = "run_root is on a file system that looks like this machine's own: nodes may not see it."
        evidence = f"{seen.probed} is {seen.kind}"
        yield Finding("shared", "unknown", what, evidence, "`passingloop doctor --node` looks at it from a node.")


def sharing(node: NodeEvidence, here: Here) -> Iterator[Finding]:
    """Whether both sides see the same run_root, the same locks, and each other's renames."""
    root, mark = here.run_root.probed, node.mark
    remedy = "Set run_root, or PASSINGLOOP_RUN_ROOT, to a folder on a file system that all nodes share."
    if not mark.found or not mark.same:
        what = f"{node.host} does not see run_root as it is here: a job finds no run, and what it writes is lost."
        seen = "does not exist there" if not mark.found else "has another content there"
        yield Finding("shared", "problem", what, f"a file made in {root} {seen}", remedy)
        return
    if mark.error or not here.answered:
        what = f"What {node.host} writes into run_root does not arrive here."
        evidence = mark.error or f"a file that was written and renamed in {root} is not seen here"
        yield Finding("shared", "problem", what, evidence, remedy)
    else:
        what = f"{node.host} and this machine see each other's files in run_root."
        yield Finding("shared", "ok", what, f"a file of each in {root}, renamed")
    if mark.lock == "held":
        yield Finding("shared locks", "ok", f"{node.host} sees locks that are held here.", f"flock in {root}")
    else:
        why = "it was granted a second time" if mark.lock == "free" else mark.lock
        what = f"{node.host} does not see a lock that is held here: two jobs could train one run at a time."
        remedy = "Ask for locks: NFS without nolock and local_lock, Lustre with -o flock; or set another run_root."
        yield Finding("shared locks", "problem", what, f"flock in {root}: {why}", remedy)


def clocks(node: NodeEvidence, here: Here) -> Iterator[Finding]:
    """Whether the node's clock is this machine's, as far as the duration of the question allows to tell."""
    apart = max(here.began - node.time, node.time - here.ended, 0.0)
    evidence = f"at least {apart:.1f} s apart; a node's credentials are valid for {here.cred_expire:g} s"
    remedy = f"Tell the administrators that {node.host} or this machine does not follow NTP."
    if apart > here.cred_expire:
        what = f"The clock of {node.host} is so wrong that Slurm's credentials expire: jobs fail to start."
        yield Finding("clock", "problem", what, evidence, remedy)
    elif apart > CLOCK_TOLERANCE:
        what = f"The clock of {node.host} differs from this machine's; times in logs and of files mislead."
        yield Finding("clock", "warning", what, evidence, remedy)
    else:
        yield Finding("clock", "ok", f"The clock of {node.host} is this machine's.", evidence)


def commands(node: NodeEvidence) -> Iterator[Finding]:
    """Whether a job can requeue itself from the node, or submit a new one instead."""
    failed = {name: why for name, why in node.commands.items() if why}
    evidence = "; ".join(f"{name}: {why}" for name, why in failed.items()) or f"{', '.join(node.commands)} answer"
    remedy = f"Ask the administrators for Slurm's commands, and access to slurmctld, on {node.host}."
    if "scontrol" in failed and "sbatch" in failed:
        what = (
            f"A run can neither requeue itself from {node.host} nor submit itself again after a crash or a time limit."
        )
        yield Finding("scontrol", "problem", what, evidence, remedy)
    elif "scontrol" in failed:
        what = f"A run cannot requeue itself from {node.host}: it submits a new job, which waits anew."
        yield Finding("scontrol", "warning", what, evidence, remedy)
    elif failed:
        what = f"A run that cannot be requeued cannot be submitted again from {node.host} either."
        yield Finding("scontrol", "warning", what, evidence, remedy)
    else:
        yield Finding("scontrol", "ok", f"A run can requeue itself from {node.host}.", evidence)


def environment(node: NodeEvidence, here: Here) -> Iterator[Finding]:
    """Whether the node has the same Python and packages."""
    theirs, ours = node.software, here.software
    names = sorted(theirs.versions.keys() | ours.versions.keys())
    pairs = {name: (ours.versions.get(name, "none"), theirs.versions.get(name, "none")) for name in names}
    pairs["python"] = (ours.python, theirs.python)
    different = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if different:
        what = f"{node.host} has another environment than this machine."
        evidence = "; ".join(f"{name}: {mine} here, {other} there" for name, (mine, other) in different.items())
        remedy = "Use one environment on a file system that all nodes share, or the same image on both sides."
        yield Finding("environment", "problem", what, evidence, remedy)
    else:
        yield Finding("environment", "ok", f"{node.host} has the same Python and packages.", theirs.python)
    if theirs.machine != ours.machine:
        what = f"{node.host} has other processors than this machine: compiled packages do not run on both."
        evidence = f"{ours.machine} here, {theirs.machine} there"
        remedy = f"Make the environment on a machine with {theirs.machine}, and submit with its Python."
        yield Finding("environment", "warning", what, evidence, remedy)
