import type { CaptureRecord, DesiredState } from '../../../src/contracts/endpoint.ts';
import { refNames } from '../../../src/contracts/names.ts';
import type { Ref } from '../../../src/store/types.ts';
import type { Evidence, Invariant } from './evidence.ts';

/** Replicas poll every 500 ms, finish what is under way within the answer time-out, 10 s, and may be kept waiting by the machine. */
const followWithinMs = 500 + 10_000 + 2_000;
/** An endpoint writes its evidence down every 250 ms; what it had not written is lost with it. */
const unwrittenMs = 2_000;

interface Generation {
  ref: Ref;
  state: DesiredState;
}

/** The desired states of an endpoint, oldest first. */
function generations({ refs, desired }: Evidence, endpoint: string): Generation[] {
  return (refs[refNames.desired(endpoint)] ?? []).flatMap((ref) => {
    const state = desired[ref.digest];
    return state ? [{ ref, state }] : [];
  });
}

const endpointsOf = (refs: Evidence['refs']): string[] =>
  Object.keys(refs).flatMap((name) => /^endpoints\/([^/]+)\/desired$/.exec(name)?.[1] ?? []);

/** I4: weights of what callers see sum to 100, one variant beside the candidate at most, generations rise. */
export const weightsAreWhole: Invariant = (evidence) =>
  endpointsOf(evidence.refs).flatMap((endpoint) => {
    const problems: string[] = [];
    let before = 0;
    for (const { ref, state } of generations(evidence, endpoint)) {
      const where = `${endpoint} generation ${state.generation} (entry ${ref.entry})`;
      const seen = state.variants.filter(({ shadow }) => !shadow);
      const sum = seen.reduce((total, { weight }) => total + weight, 0);
      if (seen.length > 0 && sum !== 100) problems.push(`${where}: weights sum to ${sum}`);
      if (seen.filter(({ name }) => name !== 'candidate').length > 1)
        problems.push(`${where}: two stable variants: ${seen.map(({ name }) => name).join(', ')}`);
      if (state.generation <= before) problems.push(`${where}: follows generation ${before}`);
      before = state.generation;
    }
    return problems;
  });

/** I3: only models that are a version of something, with a verdict that let them pass, ever answered a caller. */
export const onlyBlessedModelsAnswer: Invariant = ({ captures, refs, manifests, clockSpreadMs }) => {
  const blessedSince = new Map<string, number>();
  const passed = new Set(
    Object.values(manifests).flatMap((m) => (m.kind === 'Verdict' && m.verdict.result !== 'fail' ? [m.candidate] : [])),
  );
  for (const [name, log] of Object.entries(refs))
    if (/^models\/[^/]+\/versions$/.test(name))
      for (const { digest, time } of log) if (!blessedSince.has(digest)) blessedSince.set(digest, Date.parse(time));
  return Object.entries(captures).flatMap(([endpoint, records]) =>
    firstOfEachModel(records).flatMap(({ model, timeMs, inferenceId }) => {
      const since = blessedSince.get(model);
      const who = `${endpoint}: ${model} answered ${inferenceId}`;
      if (since === undefined) return [`${who} and is no version`];
      if (since > timeMs + clockSpreadMs) return [`${who} ${since - timeMs} ms before it was a version`];
      return passed.has(model as `sha256:${string}`) ? [] : [`${who} without a verdict that let it pass`];
    }),
  );
};

function firstOfEachModel(records: readonly CaptureRecord[]): CaptureRecord[] {
  const first = new Map<string, CaptureRecord>();
  for (const record of records) {
    const known = first.get(record.model);
    if (!known || record.timeMs < known.timeMs) first.set(record.model, record);
  }
  return [...first.values()];
}

/** I5: what answers is what its generation says; a generation is followed within seconds, so a rollback is too. */
export const replicasFollow: Invariant = (evidence) =>
  endpointsOf(evidence.refs).flatMap((endpoint) => {
    const all = generations(evidence, endpoint);
    const byNumber = new Map(all.map((g, i) => [g.state.generation, { ...g, next: all[i + 1] }]));
    return (evidence.captures[endpoint] ?? []).flatMap(({ inferenceId, generation, model, timeMs, shadow }) => {
      const known = byNumber.get(generation);
      if (!known) return [`${endpoint}: ${inferenceId} was answered at generation ${generation}, which never was`];
      if (!known.state.variants.some((v) => v.model === model && v.shadow === shadow))
        return [`${endpoint}: ${inferenceId} was answered by ${model}, which generation ${generation} does not serve`];
      const lateMs = known.next ? timeMs - Date.parse(known.next.ref.time) : 0;
      return lateMs > followWithinMs + evidence.clockSpreadMs
        ? [`${endpoint}: ${inferenceId} was answered at generation ${generation}, ${lateMs} ms after the next one`]
        : [];
    });
  });

/** I12: a request has one answer: one record of one visible variant, also when the client lost its connection. */
export const requestsAreAnsweredOnce: Invariant = ({ captures, requests, endpointKillsMs }) =>
  Object.entries(requests).flatMap(([endpoint, sent]) => {
    const counts = new Map<string, number>();
    for (const { inferenceId, shadow } of captures[endpoint] ?? [])
      if (!shadow) counts.set(inferenceId, (counts.get(inferenceId) ?? 0) + 1);
    return sent.flatMap(({ inferenceId, status, atMs }) => {
      const count = counts.get(inferenceId) ?? 0;
      if (count > 1) return [`${endpoint}: ${inferenceId} has ${count} answers on record`];
      const mayBeUnwritten = endpointKillsMs.some((killMs) => atMs <= killMs && killMs - atMs < unwrittenMs);
      return status === 200 && count === 0 && !mayBeUnwritten
        ? [`${endpoint}: ${inferenceId} was answered with 200 and is not on record`]
        : [];
    });
  });
