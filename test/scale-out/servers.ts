import { type ChildProcess, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { ensureTemporalServer } from '../../scripts/temporal-server.ts';
import { ensureVersitygw } from '../../scripts/versitygw.ts';
import { awsVariables, region } from '../support/versitygw/server.ts';
import { eventually } from '../temporal.ts';
import { postgresBin } from './needs.ts';
import type { Machine } from './network.ts';

export interface Server {
  address: string;
  stop(): Promise<void>;
}

const dynamicConfig = fileURLToPath(new URL('../../deploy/temporal/dynamic-config.yaml', import.meta.url));

/** Starts a server and waits until its port answers. @param folder for its log and its data */
async function start(
  machine: Machine,
  folder: string,
  argv: readonly string[],
  port: number,
  { env = {}, stopSignal = 'SIGTERM' }: { env?: NodeJS.ProcessEnv; stopSignal?: NodeJS.Signals } = {},
): Promise<Server> {
  const log = openSync(join(folder, `${machine.name}.log`), 'a');
  const child = machine.spawn(argv, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', log, log] });
  closeSync(log);
  const { address: host } = machine;
  await eventually(
    `${machine.name} answers on ${host}:${port}`,
    async () => {
      if (hasEnded(child)) throw new Error(`it ended with ${child.exitCode ?? child.signalCode}: see ${folder}`);
      return await answers(host, port);
    },
    90_000,
  );
  return {
    address: `${host}:${port}`,
    async stop() {
      if (hasEnded(child)) return;
      child.kill(stopSignal);
      await once(child, 'exit');
    },
  };
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

const answers = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1_000 });
    const end = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', end(true)).once('error', end(false)).once('timeout', end(false));
  });

export interface Database extends Server {
  user: string;
  password: string;
}

/** PostgreSQL with a cluster of its own, as the user `postgres`: it refuses to run as root. */
export async function startPostgres(machine: Machine, folder: string): Promise<Database> {
  const bin = postgresBin()!;
  const [uid, gid] = ['-u', '-g'].map((which) => Number(execFileSync('id', [which, 'postgres'])));
  const data = join(folder, 'data');
  const user = 'temporal';
  const password = randomBytes(16).toString('hex');
  const passwordFile = join(folder, 'password');
  for (const path of [folder, data]) {
    mkdirSync(path, { recursive: true });
    chownSync(path, uid!, gid!);
  }
  chmodSync(data, 0o700);
  writeFileSync(passwordFile, password, { mode: 0o600 });
  chownSync(passwordFile, uid!, gid!);
  const asPostgres = ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups'];
  const [program, ...before] = asPostgres;
  const initdb = ['--pgdata', data, '--username', user, '--auth', 'scram-sha-256', '--pwfile', passwordFile];
  execFileSync(program!, [...before, join(bin, 'initdb'), ...initdb, '--locale', 'C.UTF-8'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  writeFileSync(join(data, 'pg_hba.conf'), 'host all all samenet scram-sha-256\n');
  const settings = [`listen_addresses=${machine.address}`, 'unix_socket_directories='];
  const argv = [...asPostgres, join(bin, 'postgres'), '-D', data, ...settings.flatMap((setting) => ['-c', setting])];
  // Fast shutdown: it waits for no client.
  const server = await start(machine, folder, argv, 5432, { stopSignal: 'SIGINT' });
  return { ...server, user, password };
}

/** A Temporal server on PostgreSQL, its tables made by Temporal's own tool, as deploy/temporal/schema.sh does it. */
export async function startTemporalServer(machine: Machine, folder: string, database: Database): Promise<Server> {
  const programs = ensureTemporalServer();
  const [host, port] = database.address.split(':') as [string, string];
  const env = {
    PATH: process.env.PATH,
    ...{ SQL_PLUGIN: 'postgres12', SQL_HOST: host, SQL_PORT: port, SQL_USER: database.user },
    SQL_PASSWORD: database.password,
  };
  for (const name of ['temporal', 'temporal_visibility']) {
    const tool = async (...argv: string[]): Promise<void> => {
      const child = machine.spawn([programs.sqlTool, '--db', name, ...argv], { env, stdio: 'ignore' });
      const [code] = (await once(child, 'exit')) as [number | null];
      if (code !== 0) throw new Error(`the schema tool ended with code ${code} at ${argv.join(' ')} of ${name}`);
    };
    await tool('create');
    await tool('setup-schema', '-v', '0.0');
    await tool('update-schema', '--schema-name', `postgresql/v12/${name.replace('temporal_', '')}`);
  }
  mkdirSync(folder, { recursive: true });
  const config = serverConfig(machine.address, database);
  writeFileSync(join(folder, 'scale-out.yaml'), stringify(config), { mode: 0o600 });
  const argv = [programs.server, '--root', folder, '--config', '.', '--env', 'scale-out', '--allow-no-auth', 'start'];
  return await start(machine, folder, argv, frontendPort);
}

const frontendPort = 7233;

/** All four services in one process, each on the machine's own address. */
function serverConfig(address: string, { address: connectAddr, user, password }: Database): object {
  const store = (databaseName: string): object => ({
    sql: { pluginName: 'postgres12', databaseName, connectAddr, connectProtocol: 'tcp', user, password, maxConns: 20 },
  });
  const service = (grpcPort: number, membershipPort: number): object => ({
    rpc: { grpcPort, membershipPort, bindOnIP: address },
  });
  return {
    log: { stdout: true, level: 'warn' },
    persistence: {
      ...{ numHistoryShards: 4, defaultStore: 'default', visibilityStore: 'visibility' },
      datastores: { default: store('temporal'), visibility: store('temporal_visibility') },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: address } },
    services: {
      frontend: service(frontendPort, 6933),
      history: service(7234, 6934),
      matching: service(7235, 6935),
      worker: service(7239, 6939),
    },
    clusterMetadata: {
      ...{ enableGlobalNamespace: false, failoverVersionIncrement: 10 },
      ...{ masterClusterName: 'active', currentClusterName: 'active' },
      clusterInformation: {
        active: {
          ...{ enabled: true, initialFailoverVersion: 1, rpcName: 'frontend' },
          rpcAddress: `${address}:${frontendPort}`,
        },
      },
    },
    dcRedirectionPolicy: { policy: 'noop' },
    dynamicConfigClient: { filepath: dynamicConfig, pollInterval: '60s' },
  };
}

/** An S3 server with one bucket, `goto3`; `variables` are what its clients need in their environment. */
export async function startS3(
  machine: Machine,
  folder: string,
): Promise<Server & { variables: Record<string, string> }> {
  const data = join(folder, 'data');
  mkdirSync(join(data, 'goto3'), { recursive: true });
  const port = 7070;
  const variables = awsVariables(`http://${machine.address}:${port}`);
  const argv = ['--port', `${machine.address}:${port}`, '--region', region, '--keep-alive', '--quiet', 'posix', data];
  const env = { ROOT_ACCESS_KEY: variables.AWS_ACCESS_KEY_ID!, ROOT_SECRET_KEY: variables.AWS_SECRET_ACCESS_KEY! };
  const server = await start(machine, folder, [ensureVersitygw(), ...argv], port, { env });
  return { ...server, variables };
}
