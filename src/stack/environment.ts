import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseSize } from '../contracts/units.ts';
import type { StoreOptions } from '../store/open.ts';
import { type TemporalConnection, temporalProfile } from './temporal-profile.ts';

/**
 * The one module that touches `process.env` (CONVENTIONS, Code 10). Everything else takes what it needs from here or as
 * an argument, so that a test never has to change the environment of its own process.
 */

/** Every variable that goto3 reads; `goto3 doctor` and the docs print this list. */
export const environmentVariables = [
  { name: 'GOTO3_ENV', meaning: 'Environment of goto3.yaml, as --env', fallback: "the file's default" },
  {
    name: 'GOTO3_HOME',
    meaning: 'State folder: database, store, logs, process table',
    fallback: '.goto3 in the current folder',
  },
  { name: 'GOTO3_STORE', meaning: 'URL of the artifact store', fallback: 'file://<GOTO3_HOME>/store' },
  {
    name: 'GOTO3_STORE_CACHE',
    meaning: 'Disk for blobs read from a bucket, below GOTO3_CACHE; 0: none',
    fallback: '10GiB',
  },
  {
    name: 'GOTO3_S3_BUCKET_OWNER',
    meaning: 'Account that must own the bucket of the store, 12 digits',
    fallback: 'not checked',
  },
  {
    name: 'GOTO3_S3_KMS_KEY',
    meaning: 'KMS key for objects of the store (SSE-KMS)',
    fallback: 'as the bucket says',
  },
  { name: 'AWS_ENDPOINT_URL_S3', meaning: 'Server of the S3 API in place of AWS', fallback: 'AWS' },
  {
    name: 'GOTO3_TARGETS',
    meaning: 'File of clusters where jobs can run',
    fallback: '<GOTO3_HOME>/targets.yaml',
  },
  { name: 'GOTO3_SECRETS', meaning: 'Folder of secrets, a file each', fallback: '<GOTO3_HOME>/secrets' },
  { name: 'GOTO3_CACHE', meaning: 'Downloaded and built tools', fallback: '~/.cache/goto3' },
  {
    name: 'TEMPORAL_CLI',
    meaning: 'Path of a Temporal CLI to use as it is',
    fallback: 'PATH, cache, download, go install',
  },
  {
    name: 'TEMPORAL_ADDRESS',
    meaning: 'host:port of a Temporal server that is not ours',
    fallback: 'the embedded server',
  },
  { name: 'TEMPORAL_NAMESPACE', meaning: 'Temporal namespace', fallback: 'default' },
  { name: 'TEMPORAL_PROFILE', meaning: "Profile of the Temporal CLI's file: address, TLS, API key", fallback: 'unset' },
  { name: 'TEMPORAL_CONFIG_FILE', meaning: 'That file', fallback: "the Temporal CLI's usual place" },
  {
    name: 'GOTO3_CODEC_KEYS',
    meaning: 'Ids of payload keys, the first encodes, all decode (docs/security.md)',
    fallback: 'payloads are not encoded',
  },
  {
    name: 'GOTO3_SIGNING',
    meaning: 'File of who may sign models (docs/security.md)',
    fallback: '<GOTO3_HOME>/signing.yaml',
  },
  {
    name: 'GOTO3_BUILD_ID',
    meaning: 'Turns worker versioning on, under this build id (docs/versions.md)',
    fallback: 'workers are not versioned',
  },
  { name: 'NO_COLOR', meaning: 'Set to anything: no colours (no-color.org)', fallback: 'colours on a terminal' },
  { name: 'CI', meaning: 'Set to anything but "false": plain lines, no live view', fallback: 'unset' },
] as const;

export interface Environment {
  /** Absolute path of the state folder. */
  readonly home: string;
  /** Store URL; `file://` below the state folder unless GOTO3_STORE says otherwise. */
  readonly storeUrl: string;
  /** How to open it. */
  readonly storeOptions: StoreOptions;
  /** Absolute path of the targets file, which need not exist. */
  readonly targetsFile: string;
  /** Absolute path; `bin/` below it holds the Temporal CLI. */
  readonly cacheFolder: string;
  /** TEMPORAL_CLI as given, made absolute. */
  readonly temporalCli: string | undefined;
  /** Set when the user brings their own Temporal server. */
  readonly temporalAddress: string | undefined;
  readonly temporalNamespace: string;
  /** TLS, API key and headers of the server that is not ours. */
  readonly temporalConnection: TemporalConnection;
  /** Ids of payload keys; the first one encodes. Empty: payloads are not encoded. */
  readonly codecKeys: readonly string[];
  /** Absolute path of the signing policy, which need not exist. */
  readonly signingFile: string;
  /** Set when workers are versioned. */
  readonly buildId: string | undefined;
  /** NO_COLOR is not set; whether there is a terminal is for the printer to find out. */
  readonly color: boolean;
  readonly ci: boolean;
  /** Folders of PATH, in order. */
  readonly path: readonly string[];
}

/** Reads the environment now; an empty variable counts as unset. */
export function readEnvironment(variables: NodeJS.ProcessEnv = process.env, cwd: string = process.cwd()): Environment {
  const read = (name: (typeof environmentVariables)[number]['name']): string | undefined =>
    variables[name] || undefined;
  const home = resolve(cwd, read('GOTO3_HOME') ?? '.goto3');
  const cli = read('TEMPORAL_CLI');
  const temporal = temporalProfile(variables);
  const cacheFolder = resolve(cwd, read('GOTO3_CACHE') ?? join(homedir(), '.cache', 'goto3'));
  const storeCache = read('GOTO3_STORE_CACHE') ?? '10GiB';
  const [endpoint, bucketOwner, kmsKey] = [
    read('AWS_ENDPOINT_URL_S3'),
    read('GOTO3_S3_BUCKET_OWNER'),
    read('GOTO3_S3_KMS_KEY'),
  ];
  return {
    home,
    storeUrl: read('GOTO3_STORE') ?? pathToFileURL(join(home, 'store')).href,
    storeOptions: {
      s3: {
        ...(endpoint !== undefined && { endpoint }),
        ...(bucketOwner !== undefined && { bucketOwner }),
        ...(kmsKey !== undefined && { kmsKey }),
        ...(storeCache !== '0' && {
          cache: { folder: join(cacheFolder, 'blobs'), budgetBytes: parseSize(storeCache) },
        }),
      },
    },
    targetsFile: resolve(cwd, read('GOTO3_TARGETS') ?? join(home, 'targets.yaml')),
    cacheFolder,
    temporalCli: cli === undefined ? undefined : resolve(cwd, cli),
    temporalAddress: temporal.address,
    temporalNamespace: temporal.namespace ?? 'default',
    temporalConnection: temporal.connection,
    codecKeys: (read('GOTO3_CODEC_KEYS') ?? '')
      .split(',')
      .map((id) => id.trim())
      .filter((id) => id !== ''),
    signingFile: resolve(cwd, read('GOTO3_SIGNING') ?? join(home, 'signing.yaml')),
    buildId: read('GOTO3_BUILD_ID'),
    color: read('NO_COLOR') === undefined,
    ci: (read('CI') ?? 'false') !== 'false',
    path: (variables.PATH ?? '').split(':').filter((folder) => folder !== ''),
  };
}

/** What a child process gets: everything that we got, and `additions` on top. */
export function inheritedEnvironment(additions: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return { ...process.env, ...additions };
}

/** From here on this process and its children work in an environment of goto3.yaml. */
export function enterEnvironment(variables: Readonly<Record<string, string>>): void {
  Object.assign(process.env, variables);
}
