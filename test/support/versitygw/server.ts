import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureVersitygw } from '../../../scripts/versitygw.ts';
import { freePorts } from '../../../src/stack/ports.ts';
import { eventually } from '../../temporal.ts';

export const region = 'us-east-1';
const accessKey = { id: 'goto3-test', secret: 'goto3-test-secret' };

/** What the SDK's own chain reads: how programs under test find the server. */
export const awsVariables = (endpoint: string): Record<string, string> => ({
  AWS_ENDPOINT_URL_S3: endpoint,
  AWS_REGION: region,
  AWS_ACCESS_KEY_ID: accessKey.id,
  AWS_SECRET_ACCESS_KEY: accessKey.secret,
  AWS_EC2_METADATA_DISABLED: 'true',
});

/** A real S3 server over a folder of its own, on a free port of 127.0.0.1. */
export class Versitygw {
  readonly url: string;
  /** Buckets are folders in it, objects are files. */
  readonly folder: string;
  readonly #child: ChildProcess;

  private constructor(url: string, folder: string, child: ChildProcess) {
    this.url = url;
    this.folder = folder;
    this.#child = child;
  }

  /** @param buckets made before it starts @param parent of its folder; the system's temporary folder */
  static async start(buckets: readonly string[] = ['goto3-test'], parent: string = tmpdir()): Promise<Versitygw> {
    const program = ensureVersitygw();
    const folder = await mkdtemp(join(parent, 'goto3-versitygw-'));
    for (const bucket of buckets) await mkdir(join(folder, bucket));
    const [port] = await freePorts([undefined]);
    const child = spawn(
      program,
      ['--port', `127.0.0.1:${port}`, '--region', region, '--keep-alive', '--quiet', 'posix', folder],
      {
        stdio: 'ignore',
        env: { PATH: process.env.PATH, ROOT_ACCESS_KEY: accessKey.id, ROOT_SECRET_KEY: accessKey.secret },
      },
    );
    // Also when a test fails before it could stop it.
    process.once('exit', () => child.kill('SIGKILL'));
    const url = `http://127.0.0.1:${port}`;
    await eventually('versitygw answers', async () => {
      if (child.exitCode !== null) throw new Error(`versitygw ended with code ${child.exitCode}`);
      return await fetch(url).then(
        () => true,
        () => false,
      );
    });
    return new Versitygw(url, folder, child);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGTERM');
      await once(this.#child, 'exit');
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Sets variables of this process; gives what sets them back. */
export function withVariables(variables: Readonly<Record<string, string | undefined>>): () => void {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  const set = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  for (const [name, value] of Object.entries(variables)) set(name, value);
  return () => {
    for (const [name, value] of before) set(name, value);
  };
}
