"""What scripts/dev-slurm can be told: one function per verb."""

import argparse
import contextlib
import os
import shlex
import signal
from collections.abc import Iterator

from . import daemons, files, packages, trees
from .folder import Folder, Shape
from .ports import free_ports
from .processes import living, search_path
from .words import Stop, say

SIZES = {"nodes": 4, "gpus": 2, "cpus": 4}


def up(options: argparse.Namespace) -> int:
    """Make the cluster, or start what is missing of it."""
    packages.install_missing()
    folder = Folder.at(options.dir)
    with folder.turn():
        shape = folder.shape
        if shape is not None:
            check_same(options, shape, folder)
            if not daemons.absent(folder.place, shape):
                say(f"is up already in {folder.path}")
                return 0
        with nothing_left_half_done(folder):
            if shape is None:
                shape = make(options, folder)
                daemons.start_nodes(folder.place, shape, daemons.absent(folder.place, shape))
                daemons.try_a_job(folder.place)
            else:
                mend(shape, folder)
    tell(folder, shape)
    return 0


def mend(shape: Shape, folder: Folder) -> None:
    """Start again what a cluster with accounts and a queue has lost."""
    trees.link(shape.release, folder.path / "bin")
    missing = daemons.absent(folder.place, shape)
    say(f"starting {', '.join(missing)} again")
    daemons.start_accounting(folder.place, shape.port + 1, missing)
    daemons.start_controller(folder.place, missing)
    daemons.start_nodes(folder.place, shape, missing)


def make(options: argparse.Namespace, folder: Folder) -> Shape:
    """Files, database and accounts, from nothing."""
    daemons.stop_all(folder.place)  # what a killed `up` left
    folder.empty()
    sizes = {name: getattr(options, name) or size for name, size in SIZES.items()}
    release = options.release or trees.installed()
    shape = Shape(**sizes, release=release, port=free_ports(sizes["nodes"] + 2))
    trees.link(release, folder.path / "bin")
    say(f"starting a cluster for demos and tests in {folder.path}")
    files.write_all(folder.place, shape)
    daemons.make_database(folder.place)
    missing = daemons.roles(shape)
    daemons.start_accounting(folder.place, shape.port + 1, missing)
    daemons.account(folder.place, [f"add cluster {files.NAME}"])
    daemons.start_controller(folder.place, missing)
    daemons.account(folder.place, files.qos(shape))
    daemons.account(folder.place, files.accounts())
    folder.keep(shape)
    return shape


def check_same(options: argparse.Namespace, shape: Shape, folder: Folder) -> None:
    for name in (*SIZES, "release"):
        asked, there = getattr(options, name), getattr(shape, name)
        if asked not in (None, there):
            raise Stop(
                f"You asked for --{name} {asked}, but the cluster in {folder.path} has {there}."
                " Do: take it down first, or give --dir another folder.",
                2,
            )


@contextlib.contextmanager
def nothing_left_half_done(folder: Folder) -> Iterator[None]:
    """Interrupted or failed, nothing runs on; what is made and has a queue stays to be started again."""
    try:
        yield
    except BaseException as why:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        daemons.stop_all(folder.place)
        if isinstance(why, KeyboardInterrupt) and folder.shape is None:
            folder.remove()  # a failure leaves its logs
        raise


def tell(folder: Folder, shape: Shape) -> None:
    say(f"nodes: {shape.nodes}, each with {shape.gpus} simulated GPUs and {shape.cpus} CPUs")
    say(f"QOS: {', '.join(files.QOS)}; partitions: main, short; accounts: team-a, team-b")
    if os.geteuid() != 0:
        say("runs as you, not as root: only you can have jobs on it")
    own = f" --dir {shlex.quote(str(folder.path))}" if folder != Folder.at(None) else ""
    say(f'to use it: eval "$(scripts/dev-slurm env{own})"; to end it: scripts/dev-slurm down{own}')


def install(options: argparse.Namespace) -> int:
    """Only install what `up` would."""
    packages.install_missing()
    if options.release and options.release != trees.installed():
        trees.tree(options.release)
    return 0


def status(options: argparse.Namespace) -> int:
    """Daemons, nodes and jobs; 0 only if all is up."""
    folder = Folder.at(options.dir)
    there = {process.role: process.pid for process in living(folder.place)}
    shape = folder.shape
    if shape is None:
        raise Stop(f"There is no cluster in {folder.path}. Do: scripts/dev-slurm up")
    print(f"A cluster for demos and tests in {folder.path}")
    for role in daemons.roles(shape):
        print(f"{role:12} {f'running, process {there[role]}' if role in there else 'NOT RUNNING'}")
    # Without the ping sinfo would ask a slurmctld that is about to end for as long as MessageTimeout.
    if daemons.absent(folder.place, shape) or not daemons.controller_answers(folder.place):
        say("some of it does not run. Do: scripts/dev-slurm up, which starts it again")
        return 1
    print(daemons.call(folder.place, "sinfo").stdout, end="")
    print(daemons.call(folder.place, "squeue").stdout, end="")
    return 0


def env(options: argparse.Namespace) -> int:
    """The lines for a shell that point Slurm's commands at the cluster."""
    folder = Folder.at(options.dir)
    if folder.shape is None:
        raise Stop(f"There is no cluster in {folder.path}. Do: scripts/dev-slurm up")
    print(f"export SLURM_CONF={shlex.quote(f'{folder.place}/etc/slurm.conf')}")
    path = search_path(folder.place)
    if path != os.environ.get("PATH"):
        print(f"export PATH={shlex.quote(path)}")
    return 0


def down(options: argparse.Namespace) -> int:
    """Stop what was started, and remove the folder."""
    folder = Folder.at(options.dir)
    if not folder.exists:
        daemons.stop_all(folder.place)  # someone removed the folder of a cluster that ran
        folder.forget_link()
        say(f"there is no cluster in {folder.path}")
        return 0
    with folder.turn():
        daemons.stop_all(folder.place)
        if not folder.remove():
            say(f"stopped, but {folder.path} stays: it holds files that are not the cluster's")
            return 0
    say(f"stopped; {folder.path} is removed")
    return 0
