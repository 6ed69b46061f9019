import type { CollectedArray } from '../../contracts/activities.ts';
import type { Digest } from '../../contracts/digest.ts';
import type { FailureClass } from '../../contracts/failures.ts';
import type { JobResources } from '../../contracts/job.ts';
import type { JobResult } from '../../contracts/messages.ts';
import { type AfterFailure, afterFailedTasks, type Retries } from './job-retry.ts';

/** An array over its attempts: what is done stays done, and each class of failure has its own say. */
export class ArrayRetries {
  readonly #max: JobResources;
  readonly #retries: Retries;
  readonly #failures: { classes: FailureClass[]; resources: JobResources }[] = [];
  #collected: CollectedArray | null = null;
  #classes: FailureClass[] = [];
  readonly #given = new Set<FailureClass>();

  readonly #before: Digest | null;

  /** @param before how its tasks stood before the first attempt */
  constructor(max: JobResources, retries: Retries = {}, before: Digest | null = null) {
    this.#max = max;
    this.#before = before;
    this.#retries = retries;
  }

  get manifest(): Digest | null {
    return this.#collected?.manifest ?? this.#before;
  }

  /** Which tasks the next attempt is for; null: all. */
  get left(): { manifest: Digest; classes: FailureClass[] } | null {
    return this.#collected && { manifest: this.#collected.manifest, classes: this.#classes };
  }

  get isDone(): boolean {
    return this.#collected !== null && this.#collected.succeeded === this.#collected.total;
  }

  learn(collected: CollectedArray | undefined): void {
    if (collected) this.#collected = collected;
  }

  /** @param resources of the attempt that has ended */
  next(resources: JobResources): AfterFailure {
    // Tasks of a class that was given up stay as they are.
    const failed = this.#failed.filter((one) => !this.#given.has(one));
    this.#failures.push({ classes: failed, resources });
    const { classes, delayMs, resources: bigger } = afterFailedTasks(this.#failures, this.#max, this.#retries);
    for (const one of failed) if (!classes.includes(one)) this.#given.add(one);
    this.#classes = classes;
    return classes.length === 0 ? { kind: 'giveUp' } : { kind: 'resume', delayMs, resources: bigger };
  }

  /** What a person has to look at first, and how many tasks it is. */
  whatFailed(): { failureClass: FailureClass; reason: string } {
    const { failed = {}, total = 0 } = this.#collected ?? {};
    const parts = this.#failed.map((one) => `${failed[one]} ${one}`);
    return {
      failureClass: this.#failed.find((one) => this.#given.has(one)) ?? this.#failed[0] ?? 'infrastructure',
      reason: `of ${total} tasks failed: ${parts.join(', ')}`,
    };
  }

  get #failed(): FailureClass[] {
    return Object.keys(this.#collected?.failed ?? {}) as FailureClass[];
  }

  results(): Pick<JobResult, 'model' | 'output' | 'metrics' | 'tasks'> {
    if (!this.#collected) return { model: null, output: null, metrics: {} };
    const { output, total, succeeded, manifest } = this.#collected;
    return { model: null, output, metrics: { tasks: total, succeeded }, tasks: { total, succeeded, manifest } };
  }
}
