"""The configuration files of the cluster, as text."""

import os
import pwd
import re
import socket
import subprocess
from pathlib import Path

from .folder import Shape
from .packages import program
from .words import Stop

NAME = "dev"
QOS = ("interactive", "production", "scavenger")
SHARDS = 4
"""Parts of each GPU that jobs can ask for, as gres/shard."""


def write_all(place: Path, shape: Shape) -> None:
    """Make the folders and write every file; `place` is plain and short."""
    for name in ("etc", "run", "log", "state", "spool", "gpu"):
        (place / name).mkdir(exist_ok=True)
    for number in range(1, shape.nodes + 1):
        (place / f"spool/n{number}").mkdir()
    (place / "mysql").mkdir(mode=0o700, exist_ok=True)
    for number in range(shape.gpus):
        # To Slurm a GPU is a device file that exists; a link to one needs no right to make devices.
        (place / f"gpu/gpu{number}").symlink_to("/dev/null")
    write(place / "etc/munge.key", os.urandom(128), 0o400)
    write(place / "etc/slurmdbd.conf", slurmdbd_conf(place, shape).encode(), 0o600)
    write(place / "etc/gres.conf", gres_conf(place, shape).encode(), 0o644)
    write(place / "etc/slurm.conf", slurm_conf(place, shape).encode(), 0o644)
    if slurm_release(place) >= (23, 11):  # from then on slurmd looks for cgroups even where no plugin uses them
        write(place / "etc/cgroup.conf", b"CgroupPlugin=disabled\n", 0o644)


def write(path: Path, content: bytes, mode: int) -> None:
    path.touch(0o600, exist_ok=False)
    path.write_bytes(content)
    path.chmod(mode)


def slurm_release(place: Path) -> tuple[int, int]:
    said = subprocess.run([program("slurmd", place), "-V"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    assert found, said
    return int(found[1]), int(found[2])


def numbered(stem: str, first: int, count: int) -> str:
    """Slurm's way to write several names: n[1-4]."""
    return f"{stem}{first}" if count == 1 else f"{stem}[{first}-{first + count - 1}]"


def hostname() -> str:
    return socket.gethostname().split(".")[0]


def user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise Stop(f"You are user {os.geteuid()}, which has no name here. Slurm and MariaDB need one.") from None


def gres_conf(place: Path, shape: Shape) -> str:
    nodes = numbered("n", 1, shape.nodes)
    return (
        f"NodeName={nodes} Name=gpu File={place}/gpu/{numbered('gpu', 0, shape.gpus)}\n"
        f"NodeName={nodes} Name=shard Count={SHARDS * shape.gpus}\n"
    )


def plugin_dir(place: Path) -> str:
    """A line, if the cluster's release is another than the machine's: its programs would take the machine's plugins."""
    return f"PluginDir={place}/bin/../lib/slurm-wlm\n" if (place / "bin").exists() else ""


def slurmdbd_conf(place: Path, shape: Shape) -> str:
    return f"""\
AuthType=auth/munge
AuthInfo=socket={place}/run/munge
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={shape.port + 1}
SlurmUser={user()}
LogFile={place}/log/slurmdbd.log
PidFile={place}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user()}
StorageLoc=slurm
{plugin_dir(place)}"""


def slurm_conf(place: Path, shape: Shape) -> str:
    all_nodes = numbered("n", 1, shape.nodes)
    some_nodes = numbered("n", 1, (shape.nodes + 1) // 2)
    return f"""\
# Written by scripts/dev-slurm: a cluster for demos and tests on one machine, with simulated GPUs.
ClusterName={NAME}
SlurmctldHost={hostname()}(127.0.0.1)
SlurmctldPort={shape.port}
SlurmUser={user()}
SlurmdUser={user()}
AuthType=auth/munge
# cred_expire: a requeued job waits this long, 120 s unless set
AuthInfo=socket={place}/run/munge,cred_expire=10
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool/%n
SlurmctldPidFile={place}/run/slurmctld.pid
SlurmdPidFile={place}/run/slurmd-%n.pid
SlurmctldLogFile={place}/log/slurmctld.log
SlurmdLogFile={place}/log/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
{plugin_dir(place)}
# Times that let a test end. Long enough, where it is about being alive, for a machine that is busy.
KillWait=5
MinJobAge=300
SlurmdTimeout=60
MessageTimeout=15
BatchStartTimeout=60
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
SchedulerParameters=bf_interval=2,bf_continue,bf_window=4320,bf_resolution=60,sched_interval=5,\
preempt_youngest_first,preempt_reorder_count=3,nohold_on_prolog_fail

SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=1000
GresTypes=gpu,shard
MaxArraySize=1001

PreemptType=preempt/qos
PreemptMode=REQUEUE
JobRequeue=1
PriorityType=priority/multifactor
PriorityWeightQOS=30000
PriorityWeightFairshare=10000
PriorityWeightAge=1000
PriorityWeightJobSize=1000

AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={shape.port + 1}
# the socket of munge, in spite of its name
AccountingStoragePass={place}/run/munge
AccountingStorageEnforce=associations,limits,qos
AccountingStorageTRES=gres/gpu,gres/shard
AccountingStoreFlags=job_comment

NodeName={all_nodes} NodeHostname={hostname()} NodeAddr=127.0.0.1 Port={numbered("", shape.port + 2, shape.nodes)} \
Sockets=1 CoresPerSocket={shape.cpus} ThreadsPerCore=1 RealMemory={4000 * shape.cpus} \
Gres=gpu:{shape.gpus},shard:{SHARDS * shape.gpus}
PartitionName=main Nodes={all_nodes} Default=YES DefaultTime=1:00:00 MaxTime=3-00:00:00
PartitionName=short Nodes={some_nodes} DefaultTime=10:00 MaxTime=1:00:00
"""


def qos(shape: Shape) -> list[str]:
    """What sacctmgr is told once slurmctld runs, which is what tells slurmdbd that there are GPUs to limit."""
    return [
        "add qos scavenger set Priority=0 PreemptMode=requeue GraceTime=10 UsageFactor=0.25",
        "add qos production set Priority=50 Preempt=scavenger MaxWall=3-00:00:00"
        f" MaxTRESPerAccount=gres/gpu={shape.nodes * shape.gpus}",
        "add qos interactive set Priority=100 Preempt=scavenger MaxWall=4:00:00"
        " MaxTRESPerUser=gres/gpu=2 MaxJobsPerUser=1 MaxSubmitJobsPerUser=2",
    ]


def accounts() -> list[str]:
    """In a session of its own: sacctmgr knows only the QOS that were there when it started."""
    users = ",".join(dict.fromkeys(["root", user()]))
    return [
        f"modify cluster {NAME} set qos={','.join(QOS)} defaultqos=production",
        "delete qos normal",
        "add account research description=research organization=research",
        "add account team-a,team-b parent=research description=team organization=research",
        f"add user {users} account=team-a,team-b defaultaccount=team-a",
    ]
