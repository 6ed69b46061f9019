import { type FsOps, type Intercept, interceptFs } from '../../../src/store/fs/fs-ops.ts';

type Operation = Parameters<Intercept>[0];

export interface DyingFs {
  ops: FsOps;
  /** Calls counted so far. */
  calls: () => number;
  /** From now on: die instead of making the n-th call, counted from 1. */
  dieAt: (call: number) => void;
}

/** The calls that other processes can see the effect of; between two others, `kill -9` leaves one and the same state. */
const changing: ReadonlySet<Operation> = new Set([
  'makeFolder',
  'createFile',
  'write',
  'link',
  'rename',
  'remove',
  'removeFolder',
  'touch',
]);
export const isChanging = (operation: Operation): boolean => changing.has(operation);

/** Counts file-system calls; from the chosen one on, `die` stands in the place of every call. */
export function dyingFs(
  inner: FsOps,
  die: () => Promise<never>,
  counts: (operation: Operation) => boolean = () => true,
): DyingFs {
  let calls = 0;
  let last = Number.POSITIVE_INFINITY;
  return {
    ops: interceptFs(inner, (operation, _path, run) => {
      if (counts(operation)) calls += 1;
      return calls >= last ? die() : run();
    }),
    calls: () => calls,
    dieAt: (call) => {
      last = calls + call;
    },
  };
}
