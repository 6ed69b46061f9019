import type { CyclePlan, DataActivities, SnapshotResult } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import type { LoopSpec } from '../contracts/loop-spec.ts';
import type { Dataset, DatasetSegment } from '../contracts/manifests.ts';
import { refNames } from '../contracts/names.ts';
import { binomialCurve } from '../stats/confidence.ts';
import { checkLabelDisagreement, checkTrainingData, type LabelComparison } from '../stats/data-checks.ts';
import { getManifest, putManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { liveAnswers } from './data/live-answers.ts';
import { type ProgramDeps, runDataProgram } from './data/program.ts';
import { type DataRow, readRow, readRows } from './data/rows.ts';
import { SegmentWriter } from './data/segment.ts';
import { notYet } from './failures.ts';
import { pin } from './pins.ts';
import { pulse } from './pulse.ts';
import { asRef } from './refs.ts';
import { readSpec } from './spec.ts';

export interface DataDeps extends ProgramDeps {
  store: Store;
}

/** Fewer labelled live answers than this say nothing about live accuracy. */
const fewestLiveRows = 50;

export function createDataActivities(deps: DataDeps): DataActivities {
  const { store } = deps;

  return {
    async probeData({ loop, specDigest, waitMs }) {
      return await pulse(async (say, signal) => {
        const { spec, folder } = await readSpec(store, specDigest);
        const ref = await store.refs.read(refNames.dataset(loop));
        const dataset = ref && (await getManifest(store, ref.digest, 'Dataset'));
        const fresh = new Map<string, DataRow>();
        await runDataProgram(deps, { data: spec.data, folder, since: dataset?.cursor ?? '' }, signal, (value) => {
          const row = readRow(value, spec.data, Date.now());
          if (!('problem' in row)) fresh.set(row.id, row);
        });
        say({ newRows: fresh.size });
        const trigger = await triggerOf(store, spec, fresh);
        if (!trigger && waitMs !== null) throw notYet(`${fresh.size} new rows`, waitMs);
        return { newRows: fresh.size, trigger };
      });
    },

    async snapshotData({ plan }) {
      return await pulse(async (say, signal) => {
        const { spec, folder } = await readSpec(store, plan.specDigest);
        const before = plan.dataset && (await getManifest(store, plan.dataset.digest, 'Dataset'));
        const known = await knownIds(store, before);
        const writer = await SegmentWriter.open(store, spec.data.holdout.share);
        const schemaErrors: Record<string, number> = {};
        let redelivered = 0;
        let cursor: string;
        try {
          cursor = await runDataProgram(
            deps,
            { data: spec.data, folder, since: before?.cursor ?? '' },
            signal,
            async (value, line) => {
              if (line % 1_000 === 0) say({ rows: line });
              const row = readRow(value, spec.data, Date.now());
              if ('problem' in row) schemaErrors[row.problem] = (schemaErrors[row.problem] ?? 0) + 1;
              else if (known.has(row.id)) redelivered += 1;
              else {
                known.add(row.id);
                await writer.add(row);
              }
            },
          );
        } catch (error) {
          await writer.discard();
          throw error;
        }
        const segment = await writer.finish(schemaErrors, redelivered);
        const segments = await withShare(store, before, spec.data.holdout.share);
        if (!segment && before && segments === before.segments) return summary(plan.dataset!.digest, before, 0);
        return await putDataset(
          plan,
          spec,
          plan.dataset?.digest,
          [...segments, ...(segment ? [segment] : [])],
          cursor,
          segment?.rowCount ?? 0,
        );
      });
    },

    async checkData({ plan, dataset: digest }) {
      return await pulse(async () => {
        const { spec } = await readSpec(store, plan.specDigest);
        const dataset = await getManifest(store, digest, 'Dataset');
        const newest = dataset.segments.at(-1)!;
        const { minRows, minClassShare, labelDisagreement } = spec.data.checks;
        const problems = checkTrainingData(
          {
            rows: dataset.rowCount,
            classCounts: dataset.classCounts,
            repeats: newest.repeats,
            schemaErrors: newest.schemaErrors,
          },
          { minRows, minClassShare },
        );
        if (labelDisagreement !== undefined && plan.endpoint && plan.champion)
          problems.push(
            ...checkLabelDisagreement(await compareLabels(store, plan.endpoint, newest), labelDisagreement),
          );
        return {
          problems: problems.map(({ check, slice, rows, message }) => ({ check, slice: slice ?? null, rows, message })),
        };
      });
    },

    async dropData({ plan, dataset: digest, slice }) {
      return await pulse(async () => {
        const { spec } = await readSpec(store, plan.specDigest);
        const dataset = await getManifest(store, digest, 'Dataset');
        const newest = dataset.segments.at(-1)!;
        const earlier = dataset.segments.slice(0, -1);
        if (slice === null) return await putDataset(plan, spec, digest, earlier, dataset.cursor, 0);
        const writer = await SegmentWriter.open(store, spec.data.holdout.share);
        try {
          for await (const row of readRows(store, newest.rows)) if (!row.slices.includes(slice)) await writer.add(row);
        } catch (error) {
          await writer.discard();
          throw error;
        }
        const kept = await writer.finish({}, newest.redelivered);
        return await putDataset(
          plan,
          spec,
          digest,
          [...earlier, ...(kept ? [kept] : [])],
          dataset.cursor,
          kept?.rowCount ?? 0,
        );
      });
    },

    async acceptData({ plan, dataset, by, reason }) {
      const name = refNames.dataset(plan.loop);
      await store.refs.compareAndSet(name, asRef(name, plan.dataset), dataset, {
        operation: `${plan.loop}/${plan.n}/dataset`,
        by,
        reason,
      });
    },
  };

  async function putDataset(
    plan: CyclePlan,
    spec: LoopSpec,
    parent: Digest | undefined,
    segments: DatasetSegment[],
    cursor: string,
    newRows: number,
  ): Promise<SnapshotResult> {
    const dataset: Dataset = {
      kind: 'Dataset',
      parents: parent ? [parent] : [],
      createdAt: new Date().toISOString(),
      loop: plan.loop,
      segments,
      rowCount: segments.reduce((sum, s) => sum + s.rowCount, 0),
      classCounts: addCounts(segments.map((s) => s.classCounts)),
      cursor,
      columns: spec.data.columns,
      holdoutShare: spec.data.holdout.share,
    };
    const digest = await putManifest(store, dataset);
    await pin(store, plan, 'snapshot', digest);
    return summary(digest, dataset, newRows);
  }
}

const summary = (digest: Digest, dataset: Dataset, newRows: number): SnapshotResult => ({
  dataset: digest,
  rowCount: dataset.rowCount,
  newRows,
  trainRows: dataset.segments.reduce((sum, s) => sum + s.trainRows, 0),
  holdoutRows: dataset.segments.reduce((sum, s) => sum + s.holdoutRows, 0),
});

async function knownIds(store: Store, dataset: Dataset | null): Promise<Set<string>> {
  const ids = new Set<string>();
  for (const segment of dataset?.segments ?? []) for await (const row of readRows(store, segment.rows)) ids.add(row.id);
  return ids;
}

/** A spec that holds out another share parts all earlier rows anew; a larger share contains the smaller one. */
async function withShare(store: Store, dataset: Dataset | null, share: number): Promise<DatasetSegment[]> {
  if (!dataset || dataset.holdoutShare === share) return dataset?.segments ?? [];
  const parted: DatasetSegment[] = [];
  for (const segment of dataset.segments) {
    const writer = await SegmentWriter.open(store, share);
    for await (const row of readRows(store, segment.rows)) await writer.add(row);
    const again = await writer.finish(segment.schemaErrors, segment.redelivered);
    if (again) parted.push(again);
  }
  return parted;
}

/** New labels against what the endpoint answered to the same rows, overall and by slice. */
async function compareLabels(store: Store, endpoint: string, segment: DatasetSegment): Promise<LabelComparison[]> {
  const rows = new Map<string, DataRow>();
  for await (const row of readRows(store, segment.rows)) rows.set(row.id, row);
  const counts = new Map<string, LabelComparison>();
  for (const [id, answer] of await liveAnswers(store, endpoint, rows)) {
    const row = rows.get(id)!;
    for (const slice of ['overall', ...row.slices]) {
      const count = counts.get(slice) ?? { slice, rows: 0, differ: 0 };
      counts.set(slice, { slice, rows: count.rows + 1, differ: count.differ + (answer.label === row.label ? 0 : 1) });
    }
  }
  return [...counts.values()];
}

/** Why the new rows start a cycle, or null. */
async function triggerOf(
  store: Store,
  { triggers, rollout }: LoopSpec,
  fresh: ReadonlyMap<string, DataRow>,
): Promise<string | null> {
  if (triggers.newRows !== undefined && fresh.size >= triggers.newRows) return `${fresh.size} new rows`;
  if (triggers.liveAccuracyBelow === undefined || rollout === 'none' || fresh.size === 0) return null;
  const answers = await liveAnswers(store, rollout.endpoint, fresh);
  if (answers.size < fewestLiveRows) return null;
  const correct = [...answers].filter(([id, answer]) => fresh.get(id)!.label === answer.label).length;
  // A trigger is a request, not a verdict, but chance alone should not pull it.
  const upper = binomialCurve(correct, answers.size).upper(0.05);
  return upper < triggers.liveAccuracyBelow
    ? `live accuracy ${((100 * correct) / answers.size).toFixed(1)} % on ${answers.size} labelled answers`
    : null;
}

const addCounts = (counts: Record<string, number>[]): Record<string, number> => {
  const sum: Record<string, number> = {};
  for (const count of counts) for (const [name, n] of Object.entries(count)) sum[name] = (sum[name] ?? 0) + n;
  return sum;
};
