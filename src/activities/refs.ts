import type { Digest } from '../contracts/digest.ts';
import type { RefPosition } from '../contracts/messages.ts';
import type { Ref, Store, Why } from '../store/types.ts';

/** What workflows carry of a ref. */
export const positionOf = (ref: Ref | undefined): RefPosition | null =>
  ref ? { entry: ref.entry, digest: ref.digest, operation: ref.operation } : null;

/** The expected entry of a compare-and-set as workflow state knows it; the store compares place, digest and operation. */
export function asRef(name: string, position: RefPosition | null): Ref | undefined {
  return position ? { name, ...position, by: '', reason: '', time: '' } : undefined;
}

/** An entry behind whatever is the newest, made once by its operation key. */
export const appendRef = (store: Store, name: string, digest: Digest, why: Why): Promise<Ref> =>
  store.refs.append(name, digest, why);
