import { randomBytes } from 'node:crypto';
import { conflict } from './api-error.ts';

export type Fields = Record<string, unknown>;
export interface ErrorInfo {
  code: string;
  message: string;
}
export interface Clock {
  nowMs(): number;
  /** How long a creation, an update and a deletion take. */
  changeMs: number;
}

/** A lower-case id behind `pcs_`, as in the examples of the user guide ("pcs_abc1234567"). */
export const newId = (): string => `pcs_${randomBytes(5).toString('hex')}`;

/**
 * A cluster, node group or queue: its states and who may change them when. Statuses: API_Cluster, API_ComputeNodeGroup,
 * API_Queue. A change is under way for `changeMs`, and the state is worked out whenever somebody looks.
 */
export class Resource {
  readonly type: string;
  readonly id: string;
  readonly arn: string;
  readonly name: string;
  fields: Fields;
  tags: Record<string, string>;
  gone = false;
  #status = 'CREATING';
  #errorInfo: ErrorInfo[] = [];
  #change: { endsMs: number; end: () => void } | undefined;
  readonly #createdMs: number;
  #modifiedMs: number;
  readonly #clock: Clock;

  constructor(
    type: string,
    named: { id: string; arn: string; name: string; fields: Fields; tags?: Record<string, string> },
    clock: Clock,
    failure?: ErrorInfo,
  ) {
    this.type = type;
    this.id = named.id;
    this.arn = named.arn;
    this.name = named.name;
    this.fields = named.fields;
    this.tags = { ...named.tags };
    this.#clock = clock;
    this.#createdMs = clock.nowMs();
    this.#modifiedMs = this.#createdMs;
    this.#become('CREATING', 'CREATE_FAILED', failure, () => this.#settled('ACTIVE'));
  }

  get status(): string {
    if (this.#change && this.#clock.nowMs() >= this.#change.endsMs) {
      const { end } = this.#change;
      this.#change = undefined;
      end();
    }
    return this.#status;
  }

  /** UpdateCluster: ACTIVE, UPDATE_FAILED or SUSPENDED (API_UpdateCluster); assumed for groups and queues too. */
  update(fields: Fields, failure?: ErrorInfo): void {
    if (!['ACTIVE', 'UPDATE_FAILED', 'SUSPENDED'].includes(this.status)) throw this.#busy('updated');
    this.fields = { ...this.fields, ...fields };
    this.#become('UPDATING', 'UPDATE_FAILED', failure, () => this.#settled('ACTIVE'));
  }

  /** Not while another operation is under way on it (ConflictException, "more than 1 operation on the same resource"). */
  delete(failure?: ErrorInfo): void {
    if (['CREATING', 'UPDATING', 'DELETING', 'SUSPENDING', 'RESUMING'].includes(this.status))
      throw this.#busy('deleted');
    this.#become('DELETING', 'DELETE_FAILED', failure, () => {
      this.gone = true;
    });
  }

  /** API_ClusterSummary and the like. */
  summary(): Fields {
    const { status } = this;
    return {
      ...{ name: this.name, id: this.id, arn: this.arn, status },
      ...{ createdAt: isoSeconds(this.#createdMs), modifiedAt: isoSeconds(this.#modifiedMs) },
    };
  }

  full(): Fields {
    return {
      ...this.summary(),
      ...this.fields,
      ...(this.#errorInfo.length > 0 && { errorInfo: this.#errorInfo }),
    };
  }

  #become(status: string, failed: string, failure: ErrorInfo | undefined, done: () => void): void {
    this.#status = status;
    this.#errorInfo = [];
    const end = failure
      ? () => {
          this.#settled(failed);
          this.#errorInfo = [failure];
        }
      : done;
    this.#change = { endsMs: this.#clock.nowMs() + this.#clock.changeMs, end };
  }

  #settled(status: string): void {
    this.#status = status;
    this.#modifiedMs = this.#clock.nowMs();
  }

  #busy(what: string): Error {
    return conflict(this.type, this.id, `The ${this.type} can't be ${what} in status ${this.#status}.`);
  }
}

/** "2000-01-01T00:00:00Z" (response snapshots of aws-sdk-go-v2, service/pcs). */
const isoSeconds = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
