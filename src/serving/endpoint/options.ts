import { isAbsolute } from 'node:path';
import { failureTypes } from '../../contracts/failures.ts';
import { isName } from '../../contracts/names.ts';
import type { StoreOptions } from '../../store/open.ts';
import type { SigningRules } from '../../store/signing/registry.ts';
import type { CaptureOptions } from './capture-buffer.ts';
import type { HttpLimits } from './http/front.ts';
import type { PoolOptions } from './inference/pool.ts';
import type { InvocationLimits } from './invoker.ts';
import type { Log } from './log.ts';

export interface EndpointOptions {
  endpoint: string;
  /** Stays the same over restarts: captures and the registration stand under it. */
  replica: string;
  storeUrl: string;
  /** How to open it. */
  storeOptions?: StoreOptions;
  /** Whose models it may serve; undefined: whatever the store has. */
  signing?: SigningRules | undefined;
  /** Default 127.0.0.1. */
  host?: string;
  /** 0 = any free one. */
  port: number;
  /** Where others reach this replica, when that is not `http://host:port`. */
  advertise?: string;
  /** Absolute path of a folder of this replica alone; models and nothing else live there. */
  cacheFolder: string;
  log?: Log;
  limits?: Partial<EndpointLimits>;
}

export interface EndpointLimits
  extends HttpLimits,
    InvocationLimits,
    CaptureOptions,
    Omit<PoolOptions, 'workingFolder'> {
  desiredPollMs: number;
  /** Between looks for segments of evidence that can be packed. */
  packEveryMs: number;
  /** At `close`: for requests under way, and again for evidence and the registration. */
  drainMs: number;
}

export const defaultLimits: EndpointLimits = {
  maxConnections: 1_024,
  maxHeaderBytes: 16 * 1024,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 15_000,
  // Longer than the 60 s of usual load balancers, so that they close first and never send into a closing connection.
  keepAliveTimeoutMs: 65_000,
  maxBodyBytes: 6 * 2 ** 20,
  maxBytesInFlight: 128 * 2 ** 20,
  maxRowsPerRequest: 1_000,
  answerTimeoutMs: 10_000,
  maxWaiting: 256,
  maxWaitingShadow: 256,
  maxBatchRows: 64,
  threadsPerModel: 1,
  swapsPerProcess: 20,
  openTimeoutMs: 60_000,
  runTimeoutMs: 30_000,
  mostGrowthBytes: 2 ** 30,
  flushEveryMs: 250,
  flushAtRecords: 1_000,
  maxBuffered: 100_000,
  desiredPollMs: 500,
  packEveryMs: 60_000,
  drainMs: 10_000,
};

/** Options that cannot work. */
export class InvalidEndpointOptions extends Error {
  override readonly name = 'InvalidEndpointOptions';
  readonly type = failureTypes.invalidInput;
}

/** @throws InvalidEndpointOptions that names the option. */
export function checkOptions({ endpoint, replica, cacheFolder, port, limits = {} }: EndpointOptions): void {
  const fail = (option: string, expected: string, value: unknown): never => {
    throw new InvalidEndpointOptions(`${option}: expected ${expected}, got ${JSON.stringify(value)}`);
  };
  if (!isName(endpoint)) fail('endpoint', 'a name', endpoint);
  if (!isName(replica)) fail('replica', 'a name', replica);
  if (!isAbsolute(cacheFolder)) fail('cacheFolder', 'an absolute path', cacheFolder);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) fail('port', 'a number from 0 to 65535', port);
  for (const [name, value] of Object.entries(limits))
    if (!Number.isInteger(value) || value < 1) fail(`limits.${name}`, 'a whole number of 1 or more', value);
}
