import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Digest } from '../../src/contracts/digest.ts';
import { type CaptureRecord, DesiredState, type ReplicaStatus } from '../../src/contracts/endpoint.ts';
import type { ModelSignature } from '../../src/contracts/model.ts';
import { refNames } from '../../src/contracts/names.ts';
import { type RunningEndpoint, startEndpoint } from '../../src/serving/endpoint/main.ts';
import type { EndpointLimits } from '../../src/serving/endpoint/options.ts';
import { putFolder } from '../../src/store/folders.ts';
import { putJson, putManifest } from '../../src/store/manifests.ts';
import { openStore } from '../../src/store/open.ts';
import type { Ref, Store } from '../../src/store/types.ts';
import { numericSignature, writeModel } from './models.ts';
import { until } from './waiting.ts';

type Address = Pick<RunningEndpoint, 'url'>;
type WantedVariant = { name?: string; model: Digest; weight?: number; shadow?: boolean };

/** A store in a temporary folder, models in it, and endpoints that serve them; everything ends with `close`. */
export class World {
  readonly folder: string;
  readonly store: Store;
  readonly endpoint = 'mail';
  private desired: Ref | undefined;
  private generation = 0;
  private models = 0;
  private readonly running = new Set<RunningEndpoint>();

  private constructor(folder: string, store: Store) {
    this.folder = folder;
    this.store = store;
  }

  static async open(): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), 'goto3-serving-'));
    return new World(folder, await openStore(join(folder, 'store'), { durability: 'fast' }));
  }

  async close(): Promise<void> {
    for (const endpoint of this.running) await endpoint.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  async start(limits: Partial<EndpointLimits> = {}, replica = 'r1'): Promise<RunningEndpoint> {
    const running = await startEndpoint({
      endpoint: this.endpoint,
      replica,
      storeUrl: this.store.url,
      port: 0,
      cacheFolder: join(this.folder, `cache-${replica}`),
      log: pino({ level: 'silent' }),
      limits: { desiredPollMs: 20, flushEveryMs: 50, ...limits },
    });
    this.running.add(running);
    return running;
  }

  async stop(endpoint: RunningEndpoint): Promise<void> {
    this.running.delete(endpoint);
    await endpoint.close();
  }

  /** Stores a model and gives its digest. */
  async model(bytes: Uint8Array, signature: ModelSignature = numericSignature): Promise<Digest> {
    const folder = await writeModel(join(this.folder, 'models', String(++this.models)), bytes, signature);
    const nothing = await this.store.blobs.put(Buffer.from('nothing'));
    return putManifest(this.store, {
      kind: 'Model',
      parents: [],
      createdAt: new Date(0).toISOString(),
      model: 'spam-filter',
      loop: 'spam-filter',
      cycle: this.models,
      precision: 'fp32',
      files: await putFolder(this.store, folder),
      signature,
      sizeBytes: bytes.length,
      run: nothing,
      dataset: nothing,
    });
  }

  /** Writes a desired state; one variant is `stable` with all the traffic. */
  async deploy(...variants: WantedVariant[]): Promise<number> {
    const state: DesiredState = {
      schema: 'goto3/desired/v1',
      endpoint: this.endpoint,
      generation: ++this.generation,
      variants: variants.map(({ name = 'stable', model, weight = 100, shadow = false }) => ({
        name,
        model,
        weight,
        shadow,
      })),
      frozen: null,
    };
    await this.moveDesired(await putJson(this.store, DesiredState, state));
    return this.generation;
  }

  async moveDesired(digest: Digest): Promise<void> {
    const why = { operation: `test/${this.desired?.entry ?? 0}`, by: 'test', reason: 'test' };
    this.desired = await this.store.refs.compareAndSet(refNames.desired(this.endpoint), this.desired, digest, why);
  }

  async deployAndWait(endpoint: Address, ...variants: WantedVariant[]): Promise<number> {
    const generation = await this.deploy(...variants);
    await this.serves(endpoint, generation);
    return generation;
  }

  async serves(endpoint: Address, generation: number): Promise<void> {
    await until(`generation ${generation} is served`, async () => {
      const { generation: served, error } = await statusOf(endpoint);
      if (error?.generation === generation) throw new Error(`cannot serve: ${error.message}`);
      return served === generation;
    });
  }

  /** The records of a generation, once there are so many. */
  async capturesOf(generation: number, count: number): Promise<CaptureRecord[]> {
    return until(`${count} records of generation ${generation} are captured`, async () => {
      const records = (await this.captures()).filter((record) => record.generation === generation);
      return records.length >= count ? records : undefined;
    });
  }

  async captures(): Promise<CaptureRecord[]> {
    const all: CaptureRecord[] = [];
    let cursor: string | undefined;
    for (;;) {
      const page = await this.store.captures.read(this.endpoint, cursor);
      if (page.records.length === 0) return all;
      all.push(...page.records);
      cursor = page.cursor;
    }
  }
}

export async function statusOf(endpoint: Address): Promise<ReplicaStatus> {
  return (await fetch(`${endpoint.url}/goto3/status`)).json() as Promise<ReplicaStatus>;
}
