import type { Digest } from '../../contracts/digest.ts';
import type { LoopSpec } from '../../contracts/loop-spec.ts';
import type { Dataset } from '../../contracts/manifests.ts';
import { MonitorRecord } from '../../contracts/monitor.ts';
import { refNames } from '../../contracts/names.ts';
import { canonicalJson } from '../../store/canonical-json.ts';
import { RefConflict } from '../../store/errors.ts';
import { getJson, putJson } from '../../store/manifests.ts';
import type { Ref, Store } from '../../store/types.ts';
import { AnswerWatcher } from './answer-watcher.ts';
import { NewRows } from './new-rows.ts';
import { type RowsToWatch, RowWatcher } from './row-watcher.ts';

/** Drift and bias as reasons for a cycle (docs/monitoring.md). A loop without these triggers costs nothing. */
export class Monitor {
  private readonly store: Store;
  private readonly rows: RowWatcher;
  private readonly answers: AnswerWatcher;

  constructor(store: Store) {
    this.store = store;
    this.rows = new RowWatcher(store);
    this.answers = new AnswerWatcher(store);
  }

  /** Where new rows are gathered for one look. */
  static rowsOf({ triggers: { drift, bias } }: LoopSpec): RowsToWatch {
    return { drift: drift ? new NewRows(drift.window) : null, bias: bias ? new NewRows(bias.window) : null };
  }

  /**
   * Why a cycle should start, or null. What was found is recorded before it is said: an alarm about answers whose look was
   * lost is still due at the next.
   *
   * @param settled labels of new rows that will not change, by id
   */
  async look(
    spec: LoopSpec,
    dataset: { digest: Digest; manifest: Dataset } | null,
    rows: RowsToWatch,
    settled: ReadonlyMap<string, string>,
  ): Promise<string | null> {
    if (!spec.triggers.drift && !spec.triggers.bias) return null;
    const ref = await this.store.refs.read(refNames.monitor(spec.loop));
    const before = ref ? await getJson(this.store, MonitorRecord, ref.digest) : null;
    const found = dataset ? await this.rows.look(spec, dataset, rows, settled) : { watch: null, reason: null };
    const answers = await this.answers.look(spec, before?.answers ?? null);
    await this.remember(ref, before, {
      schema: 'goto3/monitor/v1',
      loop: spec.loop,
      rows: found.watch ?? before?.rows ?? null,
      answers,
    });
    return found.reason ?? answers?.alarm?.reason ?? null;
  }

  private async remember(ref: Ref | undefined, before: MonitorRecord | null, next: MonitorRecord): Promise<void> {
    if (before && canonicalJson(before) === canonicalJson(next)) return;
    const name = refNames.monitor(next.loop);
    const digest = await putJson(this.store, MonitorRecord, next);
    const reason = next.rows?.drift?.reason ?? next.rows?.bias?.reason ?? next.answers?.alarm?.reason ?? 'looked';
    try {
      await this.store.refs.compareAndSet(name, ref, digest, {
        operation: `${name}/${(ref?.entry ?? 0) + 1}/${digest.slice(-16)}`,
        by: 'monitor',
        reason,
      });
    } catch (error) {
      // Another look at the same loop was quicker; what it has not seen, the next one will.
      if (!(error instanceof RefConflict)) throw error;
    }
  }
}
