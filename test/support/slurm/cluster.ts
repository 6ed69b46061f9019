import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts } from '../../../src/stack/ports.ts';
import { eventually } from '../../jobs/eventually.ts';
import { type ClusterOptions, nodeName, slurmConf } from './config.ts';
import { Daemon } from './daemon.ts';

/** Real Slurm on this machine, on loopback, with folders, key and ports of its own. */
export interface Cluster {
  /** Everything of the cluster lives below it. */
  root: string;
  /** SLURM_CONF */
  conf: string;
  /** A folder that is shared with all nodes. */
  shared: string;
  restUrl: string;
  jwtKey: string;
  controller: Daemon;
  rest: Daemon;
  nodes: Daemon[];
  /** Runs one of Slurm's commands and returns its stdout. */
  command(name: string, ...argv: string[]): Promise<string>;
  /** Waits until the controller answers and all nodes are ready for jobs. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

/** slurmrestd refuses root and SlurmUser; it needs no more than a number. */
const restUser = '64099';

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const root = await mkdtemp(join(tmpdir(), 'goto3-slurm-'));
  await chmod(root, 0o755);
  const [controllerPort, restPort, ...nodePorts] = await freePorts(
    Array.from({ length: 2 + (options.nodes ?? 2) }, () => undefined),
  );
  const conf = join(root, 'slurm.conf');
  await writeFile(conf, slurmConf(root, { controller: controllerPort!, nodes: nodePorts }, options));
  await mkdir(join(root, 'shared'));
  await folderOf('munge', join(root, 'munge'));
  await folderOf('slurm', join(root, 'state'));
  await secretOf('munge', join(root, 'munge', 'key'), 128);
  await secretOf('slurm', join(root, 'jwt.key'), 32);

  const environment = { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, SLURM_CONF: conf };
  const daemon = (name: string, argv: [string, ...string[]], more: NodeJS.ProcessEnv = {}) =>
    new Daemon(argv, { ...environment, ...more }, join(root, `${name}.out`));
  const m = join(root, 'munge');
  const munge = daemon('munged', [
    ...as('munge', 'munge'),
    'munged',
    '--foreground',
    `--socket=${m}/socket`,
    `--key-file=${m}/key`,
    `--pid-file=${m}/pid`,
    `--log-file=${m}/log`,
    `--seed-file=${m}/seed`,
  ]);
  const cluster: Cluster = {
    root,
    conf,
    shared: join(root, 'shared'),
    restUrl: `http://127.0.0.1:${restPort}`,
    jwtKey: join(root, 'jwt.key'),
    controller: daemon('slurmctld', ['slurmctld', '-D', '-i']),
    nodes: nodePorts.map((_, i) => daemon(`slurmd-${nodeName(i)}`, ['slurmd', '-D', '-N', nodeName(i)])),
    rest: daemon(
      'slurmrestd',
      [
        ...as(restUser, restUser),
        'slurmrestd',
        '-a',
        'rest_auth/jwt',
        '-s',
        'openapi/v0.0.38',
        `127.0.0.1:${restPort}`,
      ],
      { SLURM_JWT: 'daemon' },
    ),
    command: async (name, ...argv) => (await promisify(execFile)(name, argv, { env: environment })).stdout,
    ready: () =>
      eventually('all nodes to be idle', async () => {
        const states = await cluster.command('sinfo', '-N', '-h', '-p', 'ondemand', '-o', '%T').catch(() => '');
        const lines = states.trim().split('\n');
        return (
          lines.length === nodePorts.length && lines.every((state) => ['idle', 'mixed', 'allocated'].includes(state))
        );
      }).then(() => {}),
    async stop() {
      if (cluster.controller.running) await cancelAll(cluster);
      for (const one of [cluster.rest, cluster.controller, ...cluster.nodes, munge]) await one.stop();
      await rm(root, { recursive: true, force: true });
    },
  };

  try {
    munge.start();
    await eventually('munged to listen', async () => (await readFile(join(m, 'pid'), 'utf8').catch(() => '')) !== '');
    cluster.controller.start();
    for (const node of cluster.nodes) node.start();
    cluster.rest.start();
    await cluster.ready();
    await eventually('slurmrestd to listen', () =>
      fetch(cluster.restUrl).then(
        () => true,
        () => false,
      ),
    );
  } catch (error) {
    const said = [cluster.controller, ...cluster.nodes, cluster.rest, munge].map((one) => one.lastLines()).join('\n');
    await cluster.stop();
    throw new Error(`Slurm did not start: ${(error as Error).message}\n${said}`);
  }
  return cluster;
}

/** Jobs of a test end with it: a node that stops leaves its jobs' processes running. */
async function cancelAll(cluster: Cluster): Promise<void> {
  await cluster.command('scancel', '--me').catch(() => '');
  await eventually(
    'the queue to be empty',
    async () => (await cluster.command('squeue', '--me', '-h')) === '',
    20_000,
  ).catch(() => {});
}

const as = (user: string, group: string): [string, ...string[]] => [
  'setpriv',
  '--reuid',
  user,
  '--regid',
  group,
  '--clear-groups',
];

async function folderOf(user: string, path: string): Promise<void> {
  await mkdir(path, { mode: 0o755 });
  await chown(path, idOf(user), idOf(user, '-g'));
}

async function secretOf(user: string, path: string, sizeBytes: number): Promise<void> {
  await writeFile(path, randomBytes(sizeBytes), { mode: 0o400 });
  await chown(path, idOf(user), idOf(user, '-g'));
}

const idOf = (user: string, which: '-u' | '-g' = '-u'): number =>
  Number(spawnSync('id', [which, user], { encoding: 'utf8' }).stdout);
