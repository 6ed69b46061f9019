import type { RefPosition } from '../contracts/messages.ts';
import type { Ref } from '../store/types.ts';

/** What workflows carry of a ref. */
export const positionOf = (ref: Ref | undefined): RefPosition | null =>
  ref ? { entry: ref.entry, digest: ref.digest, operation: ref.operation } : null;

/** The expected entry of a compare-and-set as workflow state knows it; the store compares place, digest and operation. */
export function asRef(name: string, position: RefPosition | null): Ref | undefined {
  return position ? { name, ...position, by: '', reason: '', time: '' } : undefined;
}
