import { setImmediate as letOthersRun } from 'node:timers/promises';
import type { Digest } from '../../contracts/digest.ts';
import type { LoopSpec } from '../../contracts/loop-spec.ts';
import type { Dataset } from '../../contracts/manifests.ts';
import type { RowWatch } from '../../contracts/monitor.ts';
import { type BiasReport, decideBias } from '../../stats/bias.ts';
import { type DriftReport, decideDrift } from '../../stats/drift.ts';
import type { Store } from '../../store/types.ts';
import { liveAnswers } from '../data/live-answers.ts';
import { type DataRow, readRows } from '../data/rows.ts';
import { groupCounts } from './groups.ts';
import type { NewRows } from './new-rows.ts';
import { RowProfile } from './row-profile.ts';

/** The newest rows of the dataset that new ones are compared with: the reference moves with what is learned. */
const referenceRows = 2_000;
/** Fewer are no reference. */
const fewestReferenceRows = 50;

export interface RowsToWatch {
  drift: NewRows | null;
  bias: NewRows | null;
}

interface Look {
  about: string;
  profile: RowProfile | null;
  watch: RowWatch | null;
  reason: string | null;
}

/**
 * New rows in windows: against the newest rows of the dataset (drift), and by slice against live answers (bias). All of it
 * is a function of the dataset and of the rows that the program gives, so what is kept here only saves doing it again.
 */
export class RowWatcher {
  private readonly store: Store;
  private readonly byLoop = new Map<string, Look>();

  constructor(store: Store) {
    this.store = store;
  }

  /** @param settled labels of new rows that will not change, by id */
  async look(
    spec: LoopSpec,
    dataset: { digest: Digest; manifest: Dataset },
    { drift, bias }: RowsToWatch,
    settled: ReadonlyMap<string, string>,
  ): Promise<Pick<Look, 'watch' | 'reason'>> {
    const { triggers, data, loop } = spec;
    const about = JSON.stringify([dataset.digest, triggers.drift, triggers.bias, data, spec.rollout]);
    let look = this.byLoop.get(loop);
    if (look?.about !== about) {
      const profile = triggers.drift ? await this.profileOf(dataset.manifest, data) : null;
      look = { about, profile, watch: null, reason: null };
      this.byLoop.set(loop, look);
    }
    // An alarm stands until its cycle has taken the rows into the dataset.
    if (look.reason !== null) return look;
    if (drift && triggers.drift && look.profile) {
      const { falseAlarms: alpha, psiAbove } = triggers.drift;
      for (const { number, rows } of drift.windows(settled)) {
        if (look.reason !== null || number <= (look.watch?.drift?.window ?? 0)) continue;
        const report: DriftReport = decideDrift(look.profile.compared(rows), number, { alpha, psiAbove });
        look.reason = report.reason;
        look.watch = watched(look.watch, dataset.digest, { drift: report });
        await letOthersRun();
      }
    }
    if (bias && triggers.bias && spec.rollout !== 'none') {
      for (const { number, rows } of bias.windows(settled)) {
        if (look.reason !== null || number <= (look.watch?.bias?.window ?? 0)) continue;
        const report = await this.biasOf(rows, number, spec.rollout.endpoint, triggers.bias);
        look.reason = report.reason;
        look.watch = watched(look.watch, dataset.digest, { bias: report });
      }
    }
    return look;
  }

  private async biasOf(
    rows: readonly DataRow[],
    window: number,
    endpoint: string,
    { positive, falseAlarms: alpha, differenceAbove, minRows }: NonNullable<LoopSpec['triggers']['bias']>,
  ): Promise<BiasReport> {
    const answers = await liveAnswers(this.store, endpoint, new Map(rows.map((row) => [row.id, row])));
    return decideBias(groupCounts(rows, answers, positive), window, { alpha, differenceAbove, minRows });
  }

  private async profileOf({ segments }: Dataset, data: LoopSpec['data']): Promise<RowProfile | null> {
    let newest: DataRow[] = [];
    for (const { rows } of segments.toReversed()) {
      const segment: DataRow[] = [];
      for await (const row of readRows(this.store, rows)) {
        segment.push(row);
        if (segment.length >= 2 * referenceRows) segment.splice(0, segment.length - referenceRows);
      }
      newest = [...segment, ...newest].slice(-referenceRows);
      if (newest.length >= referenceRows) break;
    }
    return newest.length < fewestReferenceRows ? null : new RowProfile(newest, data);
  }
}

const watched = (
  before: RowWatch | null,
  dataset: Digest,
  found: { drift: DriftReport } | { bias: BiasReport },
): RowWatch => ({ drift: null, bias: null, ...before, dataset, ...found });
