"""A site as Slurm describes it: what 22.05 prints, cut short, and the facts that are read from it."""

from __future__ import annotations

import os

from passingloop.slurm.capacity import facts
from passingloop.slurm.capacity.facts import read_facts

CONFIG = """Configuration data as of 2026-11-21T08:00:00
AccountingStorageEnforce = associations,limits,qos
MaxArraySize            = 1001
"""
PARTITIONS = """
PartitionName=main AllowAccounts=ALL AllowQos=ALL Default=YES QoS=N/A Hidden=NO MaxNodes=UNLIMITED MaxTime=3-00:00:00 \
MinNodes=0 MaxCPUsPerNode=UNLIMITED State=UP TotalNodes=3 JobDefaults=(null) MaxMemPerNode=UNLIMITED
PartitionName=short AllowAccounts=ALL AllowQos=production,interactive Default=NO QoS=small Hidden=NO MaxNodes=1 \
MaxTime=01:00:00 MinNodes=0 MaxCPUsPerNode=24 State=UP TotalNodes=1 JobDefaults=DefCpuPerGPU=6,DefMemPerGPU=9 \
MaxMemPerNode=100000
PartitionName=old DenyAccounts=team-a DenyQos=free Default=NO QoS=N/A Hidden=NO MaxNodes=UNLIMITED MaxTime=UNLIMITED \
MinNodes=2 MaxCPUsPerNode=UNLIMITED State=DRAIN TotalNodes=4 JobDefaults=(null) MaxMemPerNode=UNLIMITED
PartitionName=maintained AllowAccounts=ALL AllowQos=ALL Default=NO QoS=N/A Hidden=NO MaxNodes=UNLIMITED \
MaxTime=UNLIMITED MinNodes=0 State=DOWN TotalNodes=1 JobDefaults=(null)
PartitionName=cloud AllowAccounts=ALL AllowQos=ALL Default=NO QoS=N/A Hidden=YES MaxNodes=UNLIMITED \
MaxTime=UNLIMITED MinNodes=0 State=UP TotalNodes=9 JobDefaults=(null)
"""
NODES = """
NodeName=n1 CPUAlloc=0 CPUEfctv=62 CPUTot=64 Gres=gpu:a100:4(S:0,1),shard:8 OS=Linux 6.1 RealMemory=512000 \
MemSpecLimit=12000 State=IDLE Partitions=main Reason=too small: CPUTot=1
NodeName=n2 CPUAlloc=0 CPUTot=32 Gres=gpu:v100:1,gpu:t4:1 RealMemory=256000 State=DOWN+DRAIN Partitions=main,short
NodeName=n3 CPUAlloc=0 CPUEfctv=16 CPUTot=16 Gres=(null) RealMemory=64000 State=IDLE Partitions=main,old,maintained
NodeName=c1 CPUAlloc=0 CPUEfctv=8 CPUTot=8 Gres=gpu RealMemory=1000 State=IDLE+CLOUD Partitions=cloud
"""
LIMITS = f"""Current Association Manager state
ClusterName=dev Account=root UserName= Partition= ParentAccount= DefAssoc=No GrpSubmitJobs=50(30) GrpTRES=cpu=N(0)
ClusterName=dev Account=team-a UserName= Partition= ParentAccount=root(1) GrpSubmitJobs=N(9) GrpTRES=gres/gpu=6(6)
ClusterName=dev Account=team-b UserName= Partition= ParentAccount=root(1) GrpSubmitJobs=N(0) GrpTRES=cpu=N(0)
ClusterName=dev Account=team-b UserName=ann(7) Partition= DefAssoc=No MaxSubmitJobs= MaxWallPJ= MaxTRESPJ= MaxTRESPN=
ClusterName=dev Account=team-a UserName=ann(7) Partition= DefAssoc=Yes MaxSubmitJobs=5(3) MaxWallPJ=2880 \
MaxTRESPJ=cpu=64,mem=204800 MaxTRESPN=
ClusterName=dev Account=team-a UserName=ann(7) Partition=short DefAssoc=Yes MaxSubmitJobs= MaxWallPJ=30 MaxTRESPJ=
ClusterName=dev Account=team-a UserName=annie(8) Partition= DefAssoc=Yes MaxSubmitJobs=1(1) MaxWallPJ=1

QOS=interactive(4) UsageRaw=0.0 GrpSubmitJobs=N(0) GrpTRES=cpu=N(0) MaxWallPJ=240 MaxTRESPJ= MaxTRESPN= MinTRESPJ= \
Account Limits= team-a={{MaxJobsPA=N(0) MaxTRESPA=cpu=9(0),gres/gpu=N(0)}} User Limits= 99={{MaxJobsPU=1(0) \
MaxSubmitJobsPU=4(4) MaxTRESPU=cpu=N(0),gres/gpu=2(2)}} {os.getuid()}={{MaxJobsPU=1(0) MaxSubmitJobsPU=4(1) \
MaxTRESPU=cpu=N(0),gres/gpu=2(0)}}
QOS=production(3) UsageRaw=0.0 GrpSubmitJobs=N(0) MaxWallPJ= MaxTRESPJ=gres/gpu=8 MaxTRESPN= MinTRESPJ=node=1 \
Account Limits=No Accounts User Limits= ann({os.getuid()})={{MaxSubmitJobsPU=N(1) MaxTRESPU=cpu=N(0)}}
QOS=small(5) UsageRaw=0.0 GrpSubmitJobs=N(0) MaxWallPJ=20 MaxTRESPJ= MaxTRESPN= MinTRESPJ= Account Limits=No Accounts \
User Limits=No Users
QOS=free(6) UsageRaw=0.0 GrpSubmitJobs=N(0) MaxWallPJ= MaxTRESPJ= MaxTRESPN= MinTRESPJ= Account Limits=No Accounts \
User Limits=No Users
"""
QOS_IN_DATABASE = """interactive|DenyOnLimit|gres/gpu=2|4
production|||
small|||
free|PartitionTimeLimit,OverPartQOS,PartitionMaxNodes|gres/gpu=1|3
"""
ACCOUNTS_IN_DATABASE = "team-a||production|interactive,production\nteam-b|||free,production\n"

FACTS = read_facts(CONFIG, PARTITIONS, NODES, LIMITS, "ann")
INFORMED = facts.read_database_facts(FACTS, QOS_IN_DATABASE, ACCOUNTS_IN_DATABASE)
