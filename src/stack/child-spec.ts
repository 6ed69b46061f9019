import { createHash } from 'node:crypto';
import { z } from 'zod';

/** How to find out that a child does its work, not just that it runs. */
export const Readiness = z.discriminatedUnion('kind', [
  /** GET answers 200. */
  z.strictObject({ kind: z.literal('http'), url: z.url() }),
  /** A Temporal server at host:port answers GetSystemInfo. */
  z.strictObject({ kind: z.literal('grpc'), address: z.string().min(1) }),
]);
export type Readiness = z.infer<typeof Readiness>;

/** One process of the stack, as data: what `up` wants to run. */
export interface ChildSpec {
  /** Also the name of its log and of its record. */
  readonly name: string;
  /** Never through a shell. */
  readonly argv: readonly [string, ...string[]];
  /** On top of the environment of `up`. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly readiness: Readiness;
  /** What asks it to leave in good order. */
  readonly stopSignal: NodeJS.Signals;
  /** From the stop signal to SIGKILL. */
  readonly graceMs: number;
  /** Children that must be ready before this one is started. */
  readonly after: readonly string[];
  /** Lower waves are gone before higher ones are asked to stop: endpoint 1, workers 2, server 3. */
  readonly stopWave: number;
  /** Names the code behind argv; another value replaces a living child. */
  readonly code: string;
  /** For people and for port allocation. */
  readonly ports: readonly number[];
}

/** Changes when a living child must be replaced. A hash, because the environment may hold secrets. */
export function specHash(spec: Pick<ChildSpec, 'argv' | 'env' | 'cwd' | 'code'>): string {
  const env = Object.entries(spec.env).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([spec.argv, env, spec.cwd, spec.code]))
    .digest('hex');
}
