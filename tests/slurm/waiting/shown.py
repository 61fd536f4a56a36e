"""What Slurm 22.05 shows, cut short, and as later releases show it where they differ."""

from __future__ import annotations

from passingloop.slurm.waiting.queue_table import FIELDS, UNIT

PENDING = {
    "JobID": "4",
    "JobArrayID": "4_[7-9%2]",
    "ArrayJobID": "4",
    "UserID": "7",
    "UserName": "ann",
    "Account": "team-a",
    "QOS": "production",
    "Partition": "main,short",
    "State": "PENDING",
    "Reason": "ReqNodeNotAvail, UnavailableNodes:n4",
    "PriorityLong": "15140",
    "tres-alloc": "cpu=8,mem=62.50G,node=2,billing=8,gres/gpu=4,gres/gpu:h200=4,license/matlab=1",
    "NumNodes": "2-4",
    "NodeList": "",
    "SubmitTime": "2026-11-29T12:44:34",
    "EligibleTime": "2026-11-29T12:44:34",
    "StartTime": "N/A",
    "EndTime": "N/A",
    "TimeLimit": "2-00:00:00",
    "Dependency": "afterok:2(unfulfilled)",
    "Reservation": "course",
    "Licenses": "matlab:1",
    "Feature": "h200",
    "ReqNodes": "n[4-5]",
}
RUNNING = PENDING | {
    "JobID": "5",
    "JobArrayID": "4_0",
    "State": "RUNNING",
    "Reason": "None",
    "NumNodes": "2",
    "NodeList": "n[1-2]",
    "StartTime": "2026-11-29T12:44:34",
    "EndTime": "2026-12-01T12:44:34",
    "Dependency": "(null)",
    "Reservation": "(null)",
    "Licenses": "(null)",
    "Feature": "(null)",
    "ReqNodes": "",
}


def queue(*rows: dict[str, str]) -> str:
    """The output of squeue."""
    return "".join("".join(f"{row[name]}{UNIT}" for name in FIELDS) + "\n" for row in rows)


NODES = """
NodeName=n1 Arch=x86_64 CPUAlloc=2 CPUEfctv=8 CPUTot=8 AvailableFeatures=h200,ib ActiveFeatures=h200,ib Gres=gpu:4 \
RealMemory=32000 AllocMem=2000 FreeMem=10252 State=MIXED Partitions=main,short \
CfgTRES=cpu=8,mem=31.25G,billing=8,gres/gpu=4 AllocTRES=cpu=2,mem=2000M,gres/gpu=3 ExtSensorsTemp=n/s
NodeName=n4 CPUAlloc=0 CPUTot=8 ActiveFeatures=(null) Gres=gpu:4 RealMemory=32000 State=IDLE+DRAIN Partitions=main \
CfgTRES=cpu=8,mem=32000M,billing=8,gres/gpu=4 AllocTRES= Reason=bad disk, really [root@2026-11-29T12:48:31]
NodeName=n5 CPUAlloc=0 CPUTot=8 ActiveFeatures=(null) State=IDLE+MAINTENANCE+RESERVED Partitions=main CfgTRES=
NodeName=n6 CPUTot=8 State=DOWN* Partitions=main
"""
RESERVATIONS = """
ReservationName=maint StartTime=2026-11-29T14:48:31 EndTime=2026-11-29T15:48:31 Duration=01:00:00 Nodes=n[1-4] \
NodeCnt=4 Features=(null) PartitionName=(null) Flags=MAINT,IGNORE_JOBS TRES=cpu=32 Users=root Groups=(null) \
Accounts=(null) Licenses=(null) State=INACTIVE BurstBuffer=(null)
ReservationName=lic StartTime=2026-11-29T14:48:31 EndTime=2026-11-29T15:48:31 Nodes=(null) Flags=FLEX,ANY_NODES \
Users=(null) Accounts=team-a,team-b Licenses=matlab:2 State=ACTIVE
"""
LICENSES = """
LicenseName=matlab Total=4 Used=3 Free=1 Reserved=0 Remote=no
LicenseName=comsol@server
    Total=8 Used=0 Free=8 Reserved=2 Remote=yes
"""
PARTITIONS = "PartitionName=main State=UP TotalNodes=4\nPartitionName=old State=DOWN\nsomething else\n"

POLICY = """Current Association Manager state
ClusterName=dev Account=root UserName= Partition= ParentAccount= GrpJobs=N(8) GrpSubmitJobs=N(12) GrpWall=N(0.00) \
GrpTRES=cpu=N(8) GrpTRESMins=cpu=N(0) GrpTRESRunMins=cpu=N(80)
ClusterName=dev Account=team-a UserName= Partition= ParentAccount=root(1) GrpJobs=9(1) GrpSubmitJobs=20(7) \
GrpWall=600(119.65) GrpTRES=cpu=30(1),mem=N(1000),gres/gpu=8(2) GrpTRESMins=cpu=N(119),gres/gpu=3000(229) \
GrpTRESRunMins=cpu=600(9) MaxJobs= MaxWallPJ= MaxTRESPJ=
ClusterName=dev Account=team-a UserName=ann(7) Partition= ParentAccount= GrpJobs=N(1) GrpTRES=cpu=N(1) MaxJobs=7(1) \
MaxSubmitJobs= MaxWallPJ=2880 MaxTRESPJ=gres/gpu=8 MaxTRESPN= MaxTRESMinsPJ=
ClusterName=dev Account=team-a UserName=ann(7) Partition=short MaxJobs= MaxSubmitJobs=3(2) MaxWallPJ=
ClusterName=dev Account=team-a UserName=annie(8) Partition= MaxJobs=1(1)
QOS=production(3) GrpJobs=N(0) GrpWall=5000(100.14) GrpTRES=cpu=N(0),gres/gpu=12(0) GrpTRESMins=gres/gpu=5000(200) \
GrpTRESRunMins=gres/gpu=N(0) MaxWallPJ=4320 MaxTRESPJ= MaxTRESPN=gres/gpu=4 MaxTRESMinsPJ= MinPrioThresh=  \
MinTRESPJ=cpu=1 PreemptMode=OFF Priority=50 Account Limits= team-a={MaxJobsPA=N(0) MaxSubmitJobsPA=N(6) \
MaxTRESPA=cpu=N(0),gres/gpu=16(4)} team-b={MaxJobsPA=5(2)} User Limits= 7={MaxJobsPU=N(0) MaxSubmitJobsPU=9(6) \
MaxTRESPU=cpu=40(0),mem=65536(0),gres/gpu=N(0)} 8={MaxJobsPU=1(1)}
QOS=scavenger(2) GrpTRES=cpu=N(0) MaxWallPJ= MinTRESPJ= PreemptMode=REQUEUE Priority=0 Account Limits=No Accounts \
User Limits= ann(7)={MaxJobsPU=2(2) MaxTRESRunMinsPU=gres/gpu=600(30)}
"""
