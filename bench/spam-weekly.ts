import { parseArgs } from 'node:util';
import { mailEnvironment } from '../examples/spam-filter/environment.ts';
import { type OurModel, ourWeeks, type PeerModel, pairedWeek, pooledAccuracy, sklearnWeeks } from './spam-weeks.ts';

/**
 * Accuracy by week of the mail replay: the text classifier trained once, retrained weekly from scratch, and retrained
 * weekly from last week's model; beside it scikit-learn's TF-IDF and logistic regression, when `--python` or
 * GOTO3_ORACLE_PYTHON names a Python that has it.
 *
 *     npm run bench:spam -- [--python .venv/bin/python] [--held-out 0.2] [--set epochs=5]…
 */
const { values: options } = parseArgs({
  options: {
    python: { type: 'string' },
    'held-out': { type: 'string', default: '0.2' },
    set: { type: 'string', multiple: true, default: [] },
  },
});
const python = options.python ?? process.env.GOTO3_ORACLE_PYTHON;
const hyperparameters = Object.fromEntries(options.set.map((pair) => pair.split('=') as [string, string]));
const { cacheFolder } = mailEnvironment();

const { weeks, seconds } = await ourWeeks({
  cacheFolder,
  heldOut: Number(options['held-out']),
  hyperparameters,
  onWeek: (week, of, trainedOn) => console.error(`week ${week} of ${of}: trained on ${trainedOn} mails`),
});
const peer = python === undefined ? undefined : await sklearnWeeks(python, cacheFolder);
for (const [w, week] of weeks.entries()) Object.assign(week.wrong, peer?.weeks[w]?.wrong);

const ours: readonly OurModel[] = ['frozen', 'fresh', 'warm'];
const peers: readonly PeerModel[] = peer ? ['sklearnFrozen', 'sklearn'] : [];
const models = [...ours, ...peers];
const line = (first: string, second: string | number, rest: readonly string[]) =>
  console.log([first.padEnd(12), String(second).padStart(6), ...rest.map((text) => text.padStart(15))].join(''));
line('week', 'mails', models);
for (const { start, mails, wrong } of weeks)
  line(
    start,
    mails,
    models.map((model) => (1 - wrong[model]!.size / mails).toFixed(3)),
  );
line(
  'pooled',
  weeks.reduce((sum, week) => sum + week.mails, 0),
  models.map((model) => pooledAccuracy(weeks, model).toFixed(4)),
);

const pooled = (names: readonly (OurModel | PeerModel)[]) =>
  Object.fromEntries(names.map((model) => [model, pooledAccuracy(weeks, model)]));
const slowest = Math.max(...seconds.fresh, ...seconds.warm);
const goals: Record<string, boolean> = { 'a training takes at most 20 s': slowest <= 20 };
for (const model of ['fresh', 'warm'] as const) {
  if (!peer) continue;
  const behind = pooledAccuracy(weeks, 'sklearn') - pooledAccuracy(weeks, model);
  goals[`${model}: pooled accuracy at most 0.5 points below scikit-learn retrained weekly`] = behind <= 0.005;
  goals[`${model}: no week below it by more than the week's paired 95 % interval`] = weeks.every(
    (week) => pairedWeek(week, model, 'sklearn').upper >= 0,
  );
}
console.log(
  JSON.stringify({
    bench: 'spam-weekly',
    ours: { accuracy: pooled(ours), seconds },
    peers: peer ? { versions: peer.versions, accuracy: pooled(peers) } : {},
    ratios: {},
    goals,
    settings: { heldOut: options['held-out'], hyperparameters, node: process.version },
  }),
);
