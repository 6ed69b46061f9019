import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import type { Digest } from '../../contracts/digest.ts';
import type { ReplicaRegistration, ReplicaStatus } from '../../contracts/endpoint.ts';
import { openStore } from '../../store/open.ts';
import { withSigning } from '../../store/signing/registry.ts';
import { CaptureBuffer } from './capture-buffer.ts';
import { CapturePacking } from './capture-packing.ts';
import { DesiredFollower } from './desired/follower.ts';
import { createFront, type Routes } from './http/front.ts';
import { InferencePool } from './inference/pool.ts';
import { Invoker } from './invoker.ts';
import { EndpointMetrics } from './metrics.ts';
import { ModelCache } from './model-cache.ts';
import { checkOptions, defaultLimits, type EndpointOptions } from './options.ts';
import { KeptRegistration } from './registration.ts';

export interface RunningEndpoint {
  /** `http://host:port` of this replica. */
  url: string;
  /** Stops accepting, lets requests finish, writes the evidence, deregisters, ends the inference process. */
  close(): Promise<void>;
}

/**
 * Starts one replica of an endpoint. It answers HTTP as soon as this returns; `GET /ping` says 200 once it serves what the
 * store desires. @throws InvalidEndpointOptions, what `openStore` throws, or the system's error for the address
 */
export async function startEndpoint(options: EndpointOptions): Promise<RunningEndpoint> {
  checkOptions(options);
  const { endpoint, replica, host = '127.0.0.1', cacheFolder } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const log = options.log ?? pino().child({ endpoint, replica });
  const startedAt = new Date().toISOString();
  await mkdir(cacheFolder, { recursive: true, mode: 0o700 });

  const store = withSigning(await openStore(options.storeUrl, options.storeOptions), options.signing);
  const cache = new ModelCache(cacheFolder, store);
  const metrics = new EndpointMetrics();
  const pool = new InferencePool(
    { ...limits, workingFolder: cacheFolder },
    (model) => cache.folderOf(model),
    metrics,
    log,
  );
  const models = {
    prepare: (wanted: readonly Digest[]) => pool.prepare(wanted),
    retireAllBut: async (keep: ReadonlySet<Digest>) => {
      await pool.retireAllBut(keep);
      await cache.trim(keep).catch((error) => log.warn({ error: String(error) }, 'cannot trim the model cache'));
    },
  };
  const follower = new DesiredFollower(endpoint, store, models, log);
  const captures = new CaptureBuffer(limits, (records) => store.captures.append(endpoint, replica, records), log);
  const packing = new CapturePacking(store.upkeep.captures, endpoint, replica, limits.packEveryMs, log);
  const invoker = new Invoker(limits, () => follower.table, pool, captures, metrics);
  metrics.watch({
    queues: () =>
      pool.queues().map(({ model, queue }) => ({ model, waiting: queue.waiting, waitingShadow: queue.waitingShadow })),
    captures: () => ({ ...captures.counts, pending: captures.pending }),
    inference: () => pool.status(),
    generation: () => follower.table.generation,
  });

  const status = (): ReplicaStatus => {
    const { generation, variants, shadows } = follower.table;
    const served = [...variants, ...shadows].map((variant) => ({ ...variant, ready: pool.isReady(variant.model) }));
    const error = follower.error;
    return {
      replica,
      endpoint,
      generation,
      variants: served,
      ...(error && { error }),
      startedAt,
      inference: pool.status(),
    };
  };
  const isReady = (): boolean => {
    const needed = follower.table.variants.filter(({ weight }) => weight > 0);
    return server.listening && needed.length > 0 && needed.every(({ model }) => pool.isReady(model));
  };
  const ping = async () => ({ status: isReady() ? 200 : 503 });
  const routes: Routes = {
    '/ping': { GET: ping, HEAD: ping },
    '/invocations': { POST: (request, onGone) => invoker.answer(request, onGone) },
    '/metrics': {
      GET: async () => ({
        status: 200,
        headers: { 'content-type': metrics.registry.contentType },
        body: await metrics.registry.metrics(),
      }),
    },
    '/goto3/status': {
      GET: async () => ({
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(status()),
      }),
    },
  };
  const server = createFront(routes, limits, (code) => metrics.answeredWithError(code), log);
  await listen(server, host, options.port);
  const { port } = server.address() as AddressInfo;
  const url = options.advertise ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const facts: ReplicaRegistration = { schema: 'goto3/replica/v1', endpoint, replica, url, startedAt };
  const registration = new KeptRegistration(store, facts, log);
  await registration.begin();
  follower.start(limits.desiredPollMs);
  log.info({ url }, 'endpoint started');

  const close = async (): Promise<void> => {
    await follower.stop();
    await closeServer(server, limits.drainMs);
    await Promise.race([pool.idle(), delay(limits.drainMs, undefined, { ref: false })]);
    await Promise.all([
      captures.close(limits.drainMs),
      Promise.race([packing.stop(), delay(limits.drainMs, undefined, { ref: false })]),
      registration.end(limits.drainMs),
      pool.close(),
    ]);
    log.info({ captures: captures.counts }, 'endpoint stopped');
  };
  let closing: Promise<void> | undefined;
  return { url, close: () => (closing ??= close()) };
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host);
  await once(server, 'listening');
}

/** Idle connections are closed at once, busy ones when their answer is out; whatever is left after the drain is cut. */
async function closeServer(server: Server, drainMs: number): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  const cut = setTimeout(() => server.closeAllConnections(), drainMs);
  await closed;
  clearTimeout(cut);
}
