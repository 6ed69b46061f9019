import type { StopReason } from './reconcile.ts';

/** What happened to a child, for progress output and for tests. */
export type StackEvent = { readonly at: string; readonly name: string } & (
  | { readonly kind: 'started'; readonly pid: number; readonly restarts: number }
  | { readonly kind: 'adopted'; readonly pid: number }
  | { readonly kind: 'ready'; readonly afterMs: number }
  /** It ended and nobody had asked it to. */
  | { readonly kind: 'died'; readonly how: string; readonly restartInMs: number; readonly log: string }
  | { readonly kind: 'stopping'; readonly why: StopReason }
  /** It outlived its grace. */
  | { readonly kind: 'killed'; readonly graceMs: number }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'unhealthy'; readonly reason: string }
  | { readonly kind: 'healthy' }
);

type WithoutEnvelope<E> = E extends unknown ? Omit<E, 'at' | 'name'> : never;
export type StackEventBody = WithoutEnvelope<StackEvent>;
