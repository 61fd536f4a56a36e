"""What scontrol prints on a cluster of scripts/dev-slurm, release 22.05, in the parts that are read."""

CONFIG = """\
Configuration data as of 2026-11-29T12:49:41
AccountingStorageEnforce = associations,limits,qos
AccountingStorageTRES   = cpu,mem,energy,node,billing,fs/disk,vmem,pages,gres/gpu
ClusterName             = dev
JobRequeue              = 1
KillWait                = 5 sec
PreemptMode             = REQUEUE
PreemptType             = preempt/qos
PreemptExemptTime       = 00:00:00
PriorityParameters      = (null)
PrioritySiteFactorParameters = (null)
PrioritySiteFactorPlugin = (null)
PriorityDecayHalfLife   = 7-00:00:00
PriorityCalcPeriod      = 00:05:00
PriorityFavorSmall      = No
PriorityFlags           =
PriorityMaxAge          = 7-00:00:00
PriorityUsageResetPeriod = NONE
PriorityType            = priority/multifactor
PriorityWeightAge       = 1000
PriorityWeightAssoc     = 0
PriorityWeightFairShare = 10000
PriorityWeightJobSize   = 1000
PriorityWeightPartition = 0
PriorityWeightQOS       = 30000
PriorityWeightTRES      = (null)
PrivateData             = none
PrologFlags             = (null)
SchedulerParameters     = \
bf_interval=2,bf_continue,bf_window=4320,bf_resolution=60,sched_interval=5,preempt_youngest_first,\
preempt_reorder_count=3,nohold_on_prolog_fail
SchedulerType           = sched/backfill
SlurmctldHost[0]        = vm(127.0.0.1)

Cgroup Support Configuration:
AllowedRAMSpace         = 100.0%
ConstrainCores          = yes
ConstrainDevices        = no
ConstrainRAMSpace       = yes
"""

PARTITIONS = """\
PartitionName=main AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL AllocNodes=ALL Default=YES QoS=N/A \
DefaultTime=01:00:00 DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO MaxNodes=UNLIMITED MaxTime=3-00:00:00 \
MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED Nodes=n[1-2] PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO \
OverSubscribe=NO OverTimeLimit=NONE PreemptMode=REQUEUE State=UP TotalCPUs=8 TotalNodes=2 SelectTypeParameters=NONE \
JobDefaults=(null) DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED TRES=cpu=8,mem=32000M,node=2,billing=8,gres/gpu=4
PartitionName=short AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL AllocNodes=ALL Default=NO QoS=N/A \
DefaultTime=00:10:00 DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO MaxNodes=UNLIMITED MaxTime=01:00:00 \
MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED Nodes=n1 PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO \
OverSubscribe=NO OverTimeLimit=NONE PreemptMode=REQUEUE State=UP TotalCPUs=4 TotalNodes=1 SelectTypeParameters=NONE \
JobDefaults=(null) DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED TRES=cpu=4,mem=16000M,node=1,billing=4,gres/gpu=2
"""

NODES = """\
NodeName=n1 Arch=x86_64 CoresPerSocket=4  AvailableFeatures=h100,ib Gres=gpu:2(S:0)
NodeName=n2 Arch=x86_64 CoresPerSocket=4  AvailableFeatures=h100,ib Gres=gpu:2(S:0)
"""
