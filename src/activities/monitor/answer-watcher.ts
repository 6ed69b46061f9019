import type { Digest } from '../../contracts/digest.ts';
import type { CaptureRecord } from '../../contracts/endpoint.ts';
import type { LoopSpec } from '../../contracts/loop-spec.ts';
import { AnswerSample, type AnswerWatch } from '../../contracts/monitor.ts';
import { refNames } from '../../contracts/names.ts';
import { type DriftSubject, decideDrift } from '../../stats/drift.ts';
import { getJson, putJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { countsOf } from './row-profile.ts';

/** After a night without a worker there is more to read than one look should take. */
const mostWindowsOfALook = 50;

/** Answers that were read and do not fill a window yet. */
interface Partial {
  from: string;
  cursor: string;
  answers: NonNullable<CaptureRecord['answer']>[];
}

/**
 * Live answers of the champion and their scores, in windows, against its first window: captures have no input, and what a
 * model says moves when its input does. The first window, not the hold-out: live traffic is never quite like the training
 * data, and an alarm about that after each deployment would retrain for ever. An alarm makes its window the new reference,
 * so one shift raises one.
 */
export class AnswerWatcher {
  private readonly store: Store;
  private readonly partials = new Map<string, Partial>();

  constructor(store: Store) {
    this.store = store;
  }

  /** @returns what to remember; its `alarm` is due */
  async look(spec: LoopSpec, before: AnswerWatch | null): Promise<AnswerWatch | null> {
    const { triggers, rollout, loop } = spec;
    if (!triggers.drift || rollout === 'none') return null;
    const champion = await this.store.refs.read(refNames.champion(spec.model));
    if (!champion) return null;
    const cycle = (await this.store.refs.read(refNames.cycles(loop)))?.entry ?? 0;
    let watch = before;
    if (watch?.model !== champion.digest) {
      const cursor = watch?.cursor ?? (await this.store.captures.tail(rollout.endpoint));
      watch = { model: champion.digest, cursor, reference: null, windows: 0, drift: null, alarm: null };
    }
    if (watch.alarm && watch.alarm.cycle < cycle) watch = { ...watch, alarm: null };
    for (let i = 0; i < mostWindowsOfALook && !watch.alarm; i++) {
      const window = await this.nextWindow(loop, rollout.endpoint, watch, triggers.drift.window);
      if (!window) break;
      watch = await this.compare(watch, window, spec, triggers.drift, cycle);
    }
    return watch;
  }

  private async compare(
    watch: AnswerWatch,
    { cursor, answers }: Partial,
    { data: { task } }: LoopSpec,
    { falseAlarms: alpha, psiAbove }: NonNullable<LoopSpec['triggers']['drift']>,
    cycle: number,
  ): Promise<AnswerWatch> {
    const sample: AnswerSample = {
      labels: task === 'regression' ? {} : Object.fromEntries(countsOf(answers.map(({ label }) => label))),
      scores: answers.map(({ score }) => score),
    };
    const keepAsReference = async (): Promise<Digest> => await putJson(this.store, AnswerSample, sample);
    if (watch.reference === null) return { ...watch, cursor, reference: await keepAsReference() };
    const reference = await getJson(this.store, AnswerSample, watch.reference);
    const windows = watch.windows + 1;
    const drift = decideDrift(subjectsOf(reference, sample), windows, { alpha, psiAbove });
    if (drift.reason === null) return { ...watch, cursor, windows, drift };
    const alarm = { reason: drift.reason, cycle };
    return { ...watch, cursor, drift, alarm, windows: 0, reference: await keepAsReference() };
  }

  /** Undefined while the next window is not full. Read so far is kept by the place where it began. */
  private async nextWindow(
    loop: string,
    endpoint: string,
    { model, cursor: from }: AnswerWatch,
    size: number,
  ): Promise<Partial | undefined> {
    const about = JSON.stringify([model, from]);
    const known = this.partials.get(loop);
    const partial: Partial = known?.from === about ? known : { from: about, cursor: from, answers: [] };
    this.partials.set(loop, partial);
    while (partial.answers.length < size) {
      const { records, cursor } = await this.store.captures.read(endpoint, partial.cursor, size);
      if (records.length === 0) return undefined;
      for (const { answer, shadow, background, model: by } of records)
        if (answer && !shadow && !background && by === model) partial.answers.push(answer);
      partial.cursor = cursor;
    }
    this.partials.delete(loop);
    return partial;
  }
}

function subjectsOf(reference: AnswerSample, live: AnswerSample): DriftSubject[] {
  const labels = (sample: AnswerSample) => new Map(Object.entries(sample.labels));
  return [
    { subject: 'answers', kind: 'categories', reference: labels(reference), live: labels(live) },
    { subject: 'scores', kind: 'numbers', reference: reference.scores, live: live.scores },
  ];
}
