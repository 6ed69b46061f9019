import type { LoopSpec } from './loop-spec.ts';
import { shareMetrics } from './units.ts';
import { type GateMetric, isMetricName, metricNames } from './verdict.ts';

export interface RuleProblem {
  path: (string | number)[];
  message: string;
}

/** What fields of a loop say about each other. Pure; each problem names the field that a person should change. */
export function loopProblems(spec: LoopSpec): RuleProblem[] {
  return [
    ...columnProblems(spec),
    ...gateProblems(spec),
    ...taskProblems(spec),
    ...credentialProblems(spec.data.env, ['data', 'env']),
    ...credentialProblems(spec.train.env, ['train', 'env']),
    ...credentialProblems(spec.train.hyperparameters, ['train', 'hyperparameters']),
    ...credentialProblems(spec.evaluate?.env ?? {}, ['evaluate', 'env']),
    ...credentialProblems(spec.evaluate?.hyperparameters ?? {}, ['evaluate', 'hyperparameters']),
  ];
}

function columnProblems({ data: { columns } }: LoopSpec): RuleProblem[] {
  const path = ['data', 'columns', 'features'];
  return columns.features.flatMap((feature, i) => {
    if (feature === columns.label)
      return [{ path: [...path, i], message: `"${feature}" is the label: a model that sees it learns nothing else` }];
    if (columns.features.indexOf(feature) < i) return [{ path: [...path, i], message: `"${feature}" is named twice` }];
    return [];
  });
}

function gateProblems({ gate, data, evaluate }: LoopSpec): RuleProblem[] {
  const problems: RuleProblem[] = [];
  for (const [i, metric] of gate.metrics.entries()) {
    const path = ['gate', 'metrics', i];
    for (const slice of metric.slices)
      if (!data.slices.includes(slice))
        problems.push({ path: [...path, 'slices'], message: `slice "${slice}" is not in data.slices` });
    const message = unmeasured(metric, data.task, evaluate !== undefined);
    if (message !== undefined) problems.push({ path: [...path, 'metric'], message });
    if (gate.anchorMargin !== undefined && metric.margin !== undefined && !shareMetrics.includes(metric.metric))
      problems.push({
        path: ['gate', 'anchorMargin'],
        message: `points do not fit ${metric.metric}; write worseBy, or no margin, for it`,
      });
  }
  return problems;
}

const ofNumbers: readonly string[] = ['rmse', 'mae', 'r2'];
const ofTheModel: readonly string[] = ['latencyP50', 'latencyP95', 'latencyP99', 'sizeBytes'];

/** A misspelt name of ours would otherwise be a metric that no row has. */
function unmeasured({ metric }: GateMetric, task: LoopSpec['data']['task'], hasProgram: boolean): string | undefined {
  const measured = metricNames.filter(
    (name) => ofTheModel.includes(name) || ofNumbers.includes(name) === (task === 'regression'),
  );
  if ((measured as readonly string[]).includes(metric) || (hasProgram && !isMetricName(metric))) return undefined;
  const names = measured.map((name) => `"${name}"`).join(', ');
  return isMetricName(metric)
    ? `expected one of ${names}: data.task is ${task}`
    : `expected one of ${names}, or an evaluate.program that measures ${metric}`;
}

/** What compares classes says nothing about numbers, and the other way round. */
function taskProblems({ data, quantize, triggers, rollout }: LoopSpec): RuleProblem[] {
  const problems: RuleProblem[] = [];
  if (quantize !== 'never') {
    const [wanted, other, of] =
      data.task === 'regression'
        ? (['worseBy', 'margin', 'rmse'] as const)
        : (['margin', 'worseBy', 'accuracy'] as const);
    if (quantize[wanted] === undefined)
      problems.push({
        path: ['quantize', wanted],
        message: `missing; expected how much ${of} int8 may lose, data.task is ${data.task}`,
      });
    if (quantize[other] !== undefined)
      problems.push({ path: ['quantize', other], message: `expected ${wanted}: data.task is ${data.task}` });
  }
  if (triggers.bias && data.slices.length === 0)
    problems.push({
      path: ['triggers', 'bias'],
      message: 'compares groups of rows: name their columns in data.slices',
    });
  if (triggers.bias && rollout === 'none')
    problems.push({ path: ['triggers', 'bias'], message: 'reads live answers, and rollout is none: leave it out' });
  if (data.task === 'classification') return problems;
  const message = 'compares classes, and data.task is regression: leave it out';
  if (data.checks.labelDisagreement !== undefined)
    problems.push({ path: ['data', 'checks', 'labelDisagreement'], message });
  if (triggers.liveAccuracyBelow !== undefined) problems.push({ path: ['triggers', 'liveAccuracyBelow'], message });
  if (triggers.bias) problems.push({ path: ['triggers', 'bias'], message });
  if (rollout !== 'none' && rollout.probation) problems.push({ path: ['rollout', 'probation'], message });
  return problems;
}

/** Environment names, which are in capitals; a hyperparameter such as `tokenizer` is none. */
const secretName = /(?:^|_)(?:SECRET|PASSWORD|PASSWD|TOKEN|ACCESS_KEY|PRIVATE_KEY|API_KEY)$/;
/** AWS access key ids, GitHub tokens, private keys: what tools that look for leaked credentials look for first. */
const secretValue = /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|-----BEGIN [A-Z ]*PRIVATE KEY-----/;

/** The file goes into the store and the spec into job records: no credential may be written out in it. */
function credentialProblems(values: Record<string, unknown>, path: string[]): RuleProblem[] {
  return Object.entries(values).flatMap(([name, value]) => {
    if (typeof value !== 'string' || !(secretName.test(name) || secretValue.test(value))) return [];
    return [{ path: [...path, name], message: 'expected { secret: <name> }: a credential is not written into a file' }];
  });
}
