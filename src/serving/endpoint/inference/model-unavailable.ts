import type { Digest } from '../../../contracts/digest.ts';

/** A model that cannot be made ready; `cause` says why. */
export class ModelUnavailable extends Error {
  override readonly name = 'ModelUnavailable';
  readonly model: Digest;

  constructor(model: Digest, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.model = model;
  }
}
