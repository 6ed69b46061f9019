import { hostname } from 'node:os';

export interface ClusterPorts {
  controller: number;
  nodes: readonly number[];
}

export interface ClusterOptions {
  /** Nodes, all on this machine: Debian's slurmd is built for several on one host. */
  nodes?: number;
  /** CPUs of each node; more than the machine has, because test jobs mostly wait. */
  cpusPerNode?: number;
  /** Seconds in which the controller remembers an ended job. */
  minJobAgeSeconds?: number;
  /** Slurm itself ends a job that uses more memory than it asked for. */
  killOverMemory?: boolean;
}

/**
 * slurm.conf of a cluster on one machine without systemd: no cgroups (they want dbus), no accounting, two partitions on the
 * same nodes. Reasons: reference/hpc-and-aws.md §3.3; every value below was run.
 */
export function slurmConf(root: string, ports: ClusterPorts, options: ClusterOptions): string {
  const host = hostname().split('.')[0]!;
  const { cpusPerNode = 16, minJobAgeSeconds = 300, killOverMemory = false } = options;
  const names = ports.nodes.map((_, i) => nodeName(i));
  const accounting = killOverMemory
    ? ['JobAcctGatherType=jobacct_gather/linux', 'JobAcctGatherFrequency=1', 'JobAcctGatherParams=OverMemoryKill']
    : ['JobAcctGatherType=jobacct_gather/none'];
  return `${[
    'ClusterName=goto3',
    `SlurmctldHost=${host}(127.0.0.1)`,
    `SlurmctldPort=${ports.controller}`,
    'SlurmUser=slurm',
    'AuthType=auth/munge',
    // A requeued job waits until its old credential has expired: 120 s by default.
    `AuthInfo=socket=${root}/munge/socket,cred_expire=5`,
    'AuthAltTypes=auth/jwt',
    `AuthAltParameters=jwt_key=${root}/jwt.key`,
    'CredType=cred/munge',
    `StateSaveLocation=${root}/state`,
    `SlurmdSpoolDir=${root}/spool-%n`,
    `SlurmctldPidFile=${root}/slurmctld.pid`,
    `SlurmdPidFile=${root}/slurmd-%n.pid`,
    'ProctrackType=proctrack/linuxproc',
    'TaskPlugin=task/none',
    ...accounting,
    'SelectType=select/cons_tres',
    'SelectTypeParameters=CR_CPU_Memory',
    'SlurmdParameters=config_overrides',
    'ReturnToService=2',
    'AccountingStorageType=accounting_storage/none',
    'MailProg=/bin/true',
    'MpiDefault=none',
    `MinJobAge=${minJobAgeSeconds}`,
    'KillWait=5',
    'SlurmdTimeout=20',
    'SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,requeue_delay=0',
    ...ports.nodes.map(
      (port, i) =>
        `NodeName=${nodeName(i)} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${port} CPUs=${cpusPerNode} RealMemory=65536 State=UNKNOWN`,
    ),
    `PartitionName=ondemand Nodes=${names.join(',')} Default=YES MaxTime=INFINITE State=UP`,
    `PartitionName=spot Nodes=${names.join(',')} Default=NO MaxTime=INFINITE State=UP`,
  ].join('\n')}\n`;
}

export const nodeName = (index: number): string => `n${index + 1}`;
