import type { DataActivities } from '../contracts/activities.ts';
import type { LoopSpec } from '../contracts/loop-spec.ts';
import type { Dataset } from '../contracts/manifests.ts';
import { refNames } from '../contracts/names.ts';
import { checkLabelDisagreement, checkTrainingData } from '../stats/data-checks.ts';
import { getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { afterFailedLook } from './data/broken-looks.ts';
import { acceptedDataset, addedSegment, keepDataset, labelRangeOf, summaryOf, withShare } from './data/datasets.ts';
import { FreshLabels, GatheredRows, newestTimeOf, waitingRows } from './data/delayed-rows.ts';
import { KnownRows } from './data/known-rows.ts';
import { compareLabels, lowLiveAccuracy } from './data/live-accuracy.ts';
import { type ProgramDeps, runDataProgram } from './data/program.ts';
import { type DataRow, readRow, readRows } from './data/rows.ts';
import { partingOf, type SegmentFacts, writeSegment } from './data/segment.ts';
import { badData, invalidInput, notYet } from './failures.ts';
import { Monitor } from './monitor/monitor.ts';
import { pulse } from './pulse.ts';
import { asRef } from './refs.ts';
import { readSpec, type Spec } from './spec.ts';

export interface DataDeps extends ProgramDeps {
  store: Store;
}

export function createDataActivities(deps: DataDeps): DataActivities {
  const { store } = deps;
  const knownRows = new KnownRows(store);
  const triggerOf = rememberingTriggers(store);
  const monitor = new Monitor(store);

  return {
    async probeData({ loop, specDigest, waitMs }) {
      const look = async (say: (details: unknown) => void, signal: AbortSignal) => {
        const { spec, folder } = await readSpec(store, specDigest);
        const ref = await store.refs.read(refNames.dataset(loop));
        const dataset = ref ? await getManifest(store, ref.digest, 'Dataset') : null;
        const since = dataset?.cursor ?? '';
        const isKnown = await knownRows.of(loop, dataset);
        const fresh = new FreshLabels(newestTimeOf(dataset), spec.data.labelDelay);
        const watched = Monitor.rowsOf(spec);
        const add = (row: DataRow): void => {
          fresh.add(row);
          watched.drift?.add(row);
          watched.bias?.add(row);
        };
        for await (const row of waitingRows(store, dataset)) add(row);
        const unfit = { rows: 0, first: '' };
        let fits = false;
        await runDataProgram(deps, { data: spec.data, folder, since }, signal, (value) => {
          const row = readRow(value, spec.data, Date.now());
          if ('problem' in row) {
            unfit.first ||= row.problem;
            unfit.rows += 1;
          } else {
            fits = true;
            if (!isKnown(row.id)) add(row);
          }
        });
        // Rows that do not fit start no cycle that could say so; where they are all there is, nobody else would.
        if (!fits && unfit.rows >= (spec.triggers.newRows ?? Number.POSITIVE_INFINITY))
          throw badData(`${spec.data.program.join(' ')}: none of ${unfit.rows} rows fits the schema: ${unfit.first}`);
        const settled = fresh.settled();
        say({ newRows: settled.size });
        const known = ref && dataset ? { digest: ref.digest, manifest: dataset } : null;
        const trigger = (await triggerOf(spec, since, settled)) ?? (await monitor.look(spec, known, watched, settled));
        if (!trigger && waitMs !== null) throw notYet(`${settled.size} new rows`, waitMs);
        return { newRows: settled.size, trigger };
      };
      return await pulse((say, signal, before) =>
        look(say, signal).catch((error: unknown) => Promise.reject(afterFailedLook(error, before, say, waitMs))),
      );
    },

    async snapshotData({ plan }) {
      return await pulse(async (say, signal) => {
        const { spec, folder } = await readSpec(store, plan.specDigest);
        const before = await acceptedDataset(store, plan);
        const parting = partingOf(spec);
        const gathered = await GatheredRows.create(newestTimeOf(before), spec.data.labelDelay);
        try {
          const { cursor, ...facts } = await gather(plan.loop, { spec, folder }, before, gathered, say, signal);
          const added = await writeSegment(store, parting, async (add) => {
            for await (const row of gathered.settled()) await add(row);
            return facts;
          });
          const waiting = await gathered.putWaiting(store);
          const earlier = before ? await withShare(store, before, parting) : [];
          const sameWaiting = waiting?.rows === before?.waiting?.rows;
          if (before && !added && cursor === before.cursor && earlier === before.segments && sameWaiting)
            return summaryOf(plan.dataset!.digest, before, 0);
          const { digest, dataset } = await keepDataset(store, plan, spec, 'snapshot', {
            parent: plan.dataset?.digest,
            segments: added ? [...earlier, added] : earlier,
            cursor,
            ...(waiting && { waiting }),
            ...(spec.data.labelDelay > 0 && { newestTime: gathered.newestTime }),
          });
          return summaryOf(digest, dataset, added?.rowCount ?? 0);
        } finally {
          await gathered.close();
        }
      });
    },

    async checkData({ plan, dataset: digest }) {
      return await pulse(async () => {
        const { spec } = await readSpec(store, plan.specDigest);
        const dataset = await getManifest(store, digest, 'Dataset');
        const added = addedSegment(dataset, await acceptedDataset(store, plan));
        const { minRows, minClassShare, labelDisagreement } = spec.data.checks;
        const { rowCount: rows, classCounts } = dataset;
        const { repeats, schemaErrors } = added ?? { repeats: 0, schemaErrors: {} };
        const labels = spec.data.task === 'classification' ? { classCounts } : { range: labelRangeOf(dataset) };
        const problems = checkTrainingData({ rows, labels, repeats, schemaErrors }, { minRows, minClassShare });
        if (added && labelDisagreement !== undefined && plan.endpoint && plan.champion)
          problems.push(...checkLabelDisagreement(await compareLabels(store, plan.endpoint, added), labelDisagreement));
        return {
          problems: problems.map(({ check, slice, rows, message }) => ({ check, slice: slice ?? null, rows, message })),
        };
      });
    },

    async dropData({ plan, dataset: digest, slice }) {
      return await pulse(async () => {
        const { spec } = await readSpec(store, plan.specDigest);
        const dataset = await getManifest(store, digest, 'Dataset');
        const added = addedSegment(dataset, await acceptedDataset(store, plan));
        if (!added) return summaryOf(digest, dataset, 0);
        const kept =
          slice === null
            ? null
            : await writeSegment(store, partingOf(spec), async (add) => {
                for await (const row of readRows(store, added.rows)) if (!row.slices.includes(slice)) await add(row);
                return { schemaErrors: {}, redelivered: added.redelivered };
              });
        if (kept?.rowCount === added.rowCount)
          throw invalidInput(`slice ${JSON.stringify(slice)}: none of the ${added.rowCount} new rows is in it`);
        const remaining = await keepDataset(store, plan, spec, 'remaining data', {
          parent: digest,
          segments: [...dataset.segments.slice(0, -1), ...(kept ? [kept] : [])],
          cursor: dataset.cursor,
          ...(dataset.waiting && { waiting: dataset.waiting }),
          ...(dataset.newestTime !== undefined && { newestTime: dataset.newestTime }),
        });
        return summaryOf(remaining.digest, remaining.dataset, kept?.rowCount ?? 0);
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

  /** All that is new, and what has waited: delivered again, a row has its new label. */
  async function gather(
    loop: string,
    { spec, folder }: Pick<Spec, 'spec' | 'folder'>,
    before: Dataset | null,
    gathered: GatheredRows,
    say: (details: unknown) => void,
    signal: AbortSignal,
  ): Promise<SegmentFacts & { cursor: string }> {
    const isKnown = await knownRows.of(loop, before);
    const schemaErrors: Record<string, number> = {};
    const ids = new Set<string>();
    let redelivered = 0;
    const since = before?.cursor ?? '';
    const cursor = await runDataProgram(deps, { data: spec.data, folder, since }, signal, async (value, line) => {
      if (line % 1_000 === 0) say({ rows: line });
      const row = readRow(value, spec.data, Date.now());
      if ('problem' in row) schemaErrors[row.problem] = (schemaErrors[row.problem] ?? 0) + 1;
      else if (isKnown(row.id) || ids.has(row.id)) redelivered += 1;
      else {
        ids.add(row.id);
        await gathered.add(row);
      }
    });
    for await (const row of waitingRows(store, before)) if (!ids.has(row.id)) await gathered.add(row);
    return { schemaErrors, redelivered, cursor };
  }
}

/** Why new rows start a cycle, or null. Live accuracy is asked only when labels have come: it reads all evidence. */
function rememberingTriggers(store: Store) {
  const asked = new Map<string, { about: string; trigger: string | null }>();
  return async (
    { loop, triggers, rollout }: LoopSpec,
    since: string,
    fresh: ReadonlyMap<string, string>,
  ): Promise<string | null> => {
    if (triggers.newRows !== undefined && fresh.size >= triggers.newRows) return `${fresh.size} new rows`;
    const limit = triggers.liveAccuracyBelow;
    if (limit === undefined || rollout === 'none' || fresh.size === 0) return null;
    const about = JSON.stringify([rollout.endpoint, limit, since, fresh.size]);
    const before = asked.get(loop);
    if (before?.about === about) return before.trigger;
    const trigger = await lowLiveAccuracy(store, rollout.endpoint, limit, fresh);
    asked.set(loop, { about, trigger });
    return trigger;
  };
}
