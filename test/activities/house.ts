import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Info } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createCycleActivities } from '../../src/activities/cycle.ts';
import type { ProgramDeps } from '../../src/activities/data/program.ts';
import { createDataActivities } from '../../src/activities/data.ts';
import type { CyclePlan, SnapshotResult } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import type { CaptureRecord } from '../../src/contracts/endpoint.ts';
import { AppliedLoop, type LoopFile } from '../../src/contracts/loop-spec.ts';
import { type Dataset, Model } from '../../src/contracts/manifests.ts';
import type { ModelSignature } from '../../src/contracts/model.ts';
import { refNames } from '../../src/contracts/names.ts';
import { findTools } from '../../src/jobs/local/tools.ts';
import { putFolder } from '../../src/store/folders.ts';
import { getManifest, putJson, putManifest } from '../../src/store/manifests.ts';
import { openStore } from '../../src/store/open.ts';
import type { KeptStore } from '../../src/store/upkeep.ts';
import { numericSignature, writeModel } from '../serving/models.ts';

type Section<K extends keyof LoopFile> = Partial<Exclude<LoopFile[K], string | undefined>>;
export interface FileChanges {
  data?: Section<'data'>;
  train?: Section<'train'>;
  gate?: Section<'gate'>;
  rollout?: LoopFile['rollout'];
  base?: LoopFile['base'];
  triggers?: LoopFile['triggers'];
  quantize?: LoopFile['quantize'];
  evaluate?: LoopFile['evaluate'];
  approval?: LoopFile['approval'];
  notify?: LoopFile['notify'];
}

/** Prints the rows of `rows.jsonl` from line `--since` on; the next cursor is the number of its lines. */
const feed = `
import { readFileSync } from 'node:fs';
const since = Number(process.argv[process.argv.indexOf('--since') + 1]);
const lines = readFileSync('rows.jsonl', 'utf8').split('\\n').filter((line) => line !== '');
for (const line of lines.slice(since)) console.log(line);
console.log(JSON.stringify({ cursor: String(lines.length) }));
`;

export interface TestRow {
  id: string;
  at: string;
  kind: string | number | boolean | null;
  text: string;
  source: string;
}

/** Row `n` of a made-up corpus: one a minute, two classes, words that no other row has. */
export const row = (n: number, changes: Partial<TestRow> = {}): TestRow => ({
  id: `row-${n}`,
  at: new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString(),
  kind: n % 2 === 0 ? 'ham' : 'spam',
  text: `word${letters(n)} ${n % 2 === 0 ? 'good' : 'bad'}`,
  source: n % 3 === 0 ? 'web' : 'mail',
  ...changes,
});
/** Digits do not tell texts apart for the hold-out, letters do. */
const letters = (n: number): string => [...String(n)].map((digit) => 'abcdefghij'[Number(digit)]).join('');
export const rows = (from: number, to: number, changes: Partial<TestRow> = {}): TestRow[] =>
  Array.from({ length: to - from }, (_, i) => row(from + i, changes));

/** A store, a loop's folder with its data program, and whatever activities stand on, all in one temporary folder. */
export class House {
  readonly folder: string;
  readonly store: KeptStore;
  readonly programs: ProgramDeps;
  readonly secrets = new Map<string, string>();
  readonly loop = 'spam';
  private models = 0;
  private entries = 0;

  private constructor(folder: string, store: KeptStore, tools: Awaited<ReturnType<typeof findTools>>) {
    this.folder = folder;
    this.store = store;
    this.programs = {
      tools: { node: process.execPath, ...tools },
      secrets: { resolve: async (name) => this.secrets.get(name) ?? Promise.reject(new Error(`no secret ${name}`)) },
      hostEnvironment: { PATH: process.env.PATH, AWS_SECRET_ACCESS_KEY: 'of the worker alone' },
    };
  }

  static async open(): Promise<House> {
    const folder = await mkdtemp(join(tmpdir(), 'goto3-activities-'));
    const store = await openStore(join(folder, 'store'), { durability: 'fast' });
    const house = new House(folder, store, await findTools({ PATH: process.env.PATH ?? '' }));
    await mkdir(house.loopFolder);
    await house.write('feed.mjs', feed);
    await house.write('rows.jsonl', '');
    return house;
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  get loopFolder(): string {
    return join(this.folder, 'loop');
  }

  async write(name: string, content: string): Promise<string> {
    const path = join(this.loopFolder, name);
    await writeFile(path, content);
    return path;
  }

  /** More lines for the data program; text is taken as it is. */
  async deliver(...values: (TestRow | string)[]): Promise<void> {
    const lines = values.map((value) => `${typeof value === 'string' ? value : JSON.stringify(value)}\n`);
    await appendFile(join(this.loopFolder, 'rows.jsonl'), lines.join(''));
  }

  /** Stores a loop file, as `apply` does. */
  async apply({ data, train, gate, ...rest }: FileChanges = {}): Promise<Digest> {
    const file: LoopFile = {
      apiVersion: 'goto3/v1',
      loop: this.loop,
      model: 'spam-filter',
      data: {
        program: ['node', 'feed.mjs'],
        columns: { id: 'id', time: 'at', label: 'kind', features: ['text'] },
        holdout: { share: '20%', newest: 1_000 },
        checks: { minRows: 10 },
        slices: ['source'],
        ...data,
      },
      train: { program: ['node', 'train.mjs'], ...train },
      gate: { metrics: [{ metric: 'accuracy', floor: 0.6, margin: '2pt' }], ...gate },
      rollout: { endpoint: 'mail' },
      ...rest,
    };
    const applied: AppliedLoop = {
      schema: 'goto3/applied-loop/v1',
      file: { ...file },
      folder: this.loopFolder,
      appliedBy: 'ann',
    };
    return await putJson(this.store, AppliedLoop, applied);
  }

  /** The plan of a cycle that begins now, by the activity itself. */
  async plan(specDigest: Digest, n = 1, inconclusiveBefore = 0): Promise<CyclePlan> {
    const { store } = this;
    // beginCycle asks the store alone.
    const cycle = createCycleActivities({ store, client: undefined as unknown as Client });
    const input = { loop: this.loop, n, specDigest, reason: 'test', by: 'tester', inconclusiveBefore };
    return await run(cycle.beginCycle, input);
  }

  /** A cycle's data step when nothing is wrong: snapshot and acceptance. */
  async snapshotAndAccept(specDigest: Digest, n = 1): Promise<SnapshotResult & { plan: CyclePlan }> {
    const data = createDataActivities({ store: this.store, ...this.programs });
    const plan = await this.plan(specDigest, n);
    const snapshot = await run(data.snapshotData, { plan });
    await run(data.acceptData, { plan, dataset: snapshot.dataset, by: 'goto3', reason: 'test' });
    return { ...snapshot, plan };
  }

  async dataset(digest: Digest): Promise<Dataset> {
    return await getManifest(this.store, digest, 'Dataset');
  }

  async lines(digest: Digest): Promise<string[]> {
    const text = Buffer.from(await this.store.blobs.read(digest)).toString('utf8');
    return text.split('\n').filter((line) => line !== '');
  }

  /** A registered model with these bytes. */
  async model(bytes: Uint8Array, signature: ModelSignature = numericSignature): Promise<Digest> {
    const folder = await writeModel(join(this.folder, 'models', String(++this.models)), bytes, signature);
    const nothing = await this.store.blobs.put(Buffer.from('nothing'));
    return await putManifest(
      this.store,
      Model.parse({
        kind: 'Model',
        parents: [],
        createdAt: new Date(0).toISOString(),
        model: 'spam-filter',
        loop: this.loop,
        cycle: this.models,
        precision: 'fp32',
        files: await putFolder(this.store, folder),
        signature,
        sizeBytes: bytes.length,
        run: nothing,
        dataset: nothing,
      }),
    );
  }

  /** Appends to a ref, whatever it says. */
  async point(name: string, digest: Digest): Promise<void> {
    this.entries += 1;
    await this.store.refs.append(name, digest, { operation: `test/${this.entries}`, by: 'tester', reason: 'test' });
  }

  async crown(model: Digest): Promise<void> {
    await this.point(refNames.champion('spam-filter'), model);
  }

  /** What the endpoint `mail` answered. */
  async answered(
    records: (Partial<CaptureRecord> & Pick<CaptureRecord, 'inferenceId'>)[],
    replica = 'r1',
  ): Promise<void> {
    await this.store.captures.append(
      'mail',
      replica,
      records.map((record) => ({
        timeMs: Date.now(),
        generation: 1,
        variant: 'current',
        model: `sha256:${'a'.repeat(64)}`,
        shadow: false,
        background: false,
        answer: { label: 'ham', score: 0.1 },
        latencyMs: 1,
        ...record,
      })),
    );
  }
}

export const quiet = new DefaultLogger('ERROR');

/** Runs an activity as a worker does, in a context of its own. */
export async function run<I, O>(activity: (input: I) => Promise<O>, input: I, info: Partial<Info> = {}): Promise<O> {
  return await new MockActivityEnvironment(info, { logger: quiet }).run(activity, input);
}

/** For `assert.rejects`: the failure's type, and what its message must say. */
export const failure =
  (type: string, ...parts: (string | RegExp)[]) =>
  (error: unknown): boolean => {
    const { type: found, message } = error as { type?: string; message: string };
    if (found !== type)
      throw new Error(`expected a failure of type ${type}, got ${found}: ${message}`, { cause: error });
    for (const part of parts)
      if (typeof part === 'string' ? !message.includes(part) : !part.test(message))
        throw new Error(`expected ${String(part)} in the message, got: ${message}`);
    return true;
  };
