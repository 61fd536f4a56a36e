"""Gathers the evidence on this machine, from Slurm and from a node, and makes findings of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from passingloop.config.data import named_sources
from passingloop.config.settings import RunConfig
from passingloop.doctor import folder_probe, gpu_probe, software_probe
from passingloop.doctor.cluster_evidence import cluster_evidence, job_request
from passingloop.doctor.entitlement_checks import entitlement_findings
from passingloop.doctor.finding import Finding
from passingloop.doctor.folder_checks import FolderEvidence, folder_findings
from passingloop.doctor.gpu_checks import driver, gpu_findings
from passingloop.doctor.node_checks import Here, node_findings, unseen_sharing
from passingloop.doctor.node_part import OTHER_VERSION, Order, ask_node
from passingloop.doctor.preemption_checks import preemption_findings
from passingloop.doctor.save_history import slowest_save
from passingloop.doctor.software_checks import SoftwareEvidence, software_findings, tracking
from passingloop.errors import ConfigError, SlurmMissing, SlurmRefused, SlurmSilent
from passingloop.slurm.command import run_command
from passingloop.slurm.control import CONFIGURATION_COMMAND
from passingloop.slurm.rules.cluster_rules import read_rules


def examine(config: RunConfig, *, from_node: bool, patience: float) -> Iterator[Finding]:
    """What would go wrong with runs like `config`, and what is in order.

    Args:
        from_node: whether to look from a node as well.
        patience: seconds to wait for one.

    Raises:
        SlurmMissing, SlurmSilent: Slurm is asked for, by `from_node` or launcher=slurm, and is not here or silent.
    """
    save = slowest_save(config.run_root)
    try:
        preemption, entitlement = cluster_evidence(config, save)
    except (SlurmMissing, SlurmSilent) as error:
        if from_node or config.launcher.kind == "slurm":
            raise
        yield _absent_slurm(error)
    else:
        yield from preemption_findings(preemption)
        yield from entitlement_findings(entitlement)
    folders = {name: folder_probe.look_at(path) for name, path in _folders(config).items()}
    for name, seen in folders.items():
        yield from folder_findings(seen, name, save, config.checkpoint.keep)
    software = software_probe.software()
    uses_sql = any(source.source == "sql" for source in named_sources(config.data).values())
    yield from software_findings(software, uses_sql)
    yield from _gpus_here(software)
    if from_node:
        yield from _from_node(config, software, folders["run_root"], patience)
    else:
        yield from tracking(software_probe.wandb(config.tracking.mode), software.host)
        yield from unseen_sharing(folders["run_root"])


def _absent_slurm(error: SlurmMissing | SlurmSilent) -> Finding:
    if isinstance(error, SlurmSilent):
        what, _, remedy = str(error).partition(". ")
        return Finding("slurm", "problem", f"{what}.", "the commands of Slurm are here", remedy or "Try again later.")
    what = "There is no Slurm here, so nothing is said of a cluster."
    return Finding("slurm", "unknown", what, str(error), "Give the command on a login node of the cluster.")


def _folders(config: RunConfig) -> dict[str, Path]:
    return {"run_root": config.run_root, "cache_root": config.cache_root}


def _gpus_here(software: SoftwareEvidence) -> Iterator[Finding]:
    """Of the GPUs of this machine, if it has any."""
    found = gpu_probe.gpus()
    if found.gpus or found.driver:
        yield from driver(found, software.cuda, software.versions.get("torch", "?"), software.host)
        yield from gpu_findings(found, software.host, wanted=False)


def _from_node(
    config: RunConfig, software: SoftwareEvidence, run_root: FolderEvidence, patience: float
) -> Iterator[Finding]:
    """What a node sees; if there is none in time, or its part fails there, why."""
    try:
        wanted = job_request(config)
        with folder_probe.mark_in(config.run_root) as mark:
            order = Order(
                mark=str(mark.folder),
                token=mark.token,
                folders={name: str(path) for name, path in _folders(config).items()},
                tracking=config.tracking.mode,
            )
            began = time.time()
            node = ask_node(wanted, order, patience)
            here = Here(
                software=software,
                began=began,
                ended=time.time(),
                answered=mark.is_answered(),
                run_root=run_root,
                cred_expire=read_rules(run_command(*CONFIGURATION_COMMAND)).cred_expire,
                real_gpus=wanted.gpus > 0 and not config.cluster.simulated_gpus,
            )
    except SlurmRefused as refusal:
        yield failed_node(refusal.text or str(refusal), patience)
    except ConfigError as error:
        yield failed_node(str(error), patience)
    except OSError as error:
        what = "No node was asked: no file can be made in run_root."
        yield Finding("node", "unknown", what, str(error), "Set run_root to a folder that you may write to.")
    else:
        yield from node_findings(node, here)


def failed_node(said: str, patience: float) -> Finding:
    """Why nothing is known from a node, by what srun said."""
    if "execve" in said or "No module named" in said or said == OTHER_VERSION:
        what = "The node has not the Python environment of this machine: jobs of yours fail there, or run other code."
        remedy = "Put the environment on a file system that all nodes share, at the same path."
        return Finding("environment", "problem", what, f"srun: {said}", remedy)
    if "nodes are busy" in said:
        what = f"No node was free within {patience:.0f} s, so nothing is said of nodes."
        remedy = "Try again with --patience 1800, or with another cluster.partition or cluster.qos."
        return Finding("node", "unknown", what, f"srun: {said}", remedy)
    what = "A small job like your runs fails, or is refused."
    return Finding("node", "problem", what, f"srun: {said}", "Look up what srun says; `passingloop why` may tell more.")
