import type { LoopSpec } from './loop-spec.ts';
import type { GateMetric } from './verdict.ts';

export interface RuleProblem {
  path: (string | number)[];
  message: string;
}

/** What fields of a loop say about each other. Pure; each problem names the field that a person should change. */
export function loopProblems(spec: LoopSpec): RuleProblem[] {
  return [
    ...columnProblems(spec),
    ...spec.gate.metrics.flatMap((metric, i) => metricProblems(metric, spec.data.slices, ['gate', 'metrics', i])),
    ...credentialProblems(spec.data.env, ['data', 'env']),
    ...credentialProblems(spec.train.env, ['train', 'env']),
    ...credentialProblems(spec.train.hyperparameters, ['train', 'hyperparameters']),
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

const unbounded: readonly string[] = ['logLoss', 'rmse', 'mae', 'latencyP50', 'latencyP95', 'latencyP99', 'sizeBytes'];

function metricProblems(metric: GateMetric, slices: readonly string[], path: (string | number)[]): RuleProblem[] {
  const problems: RuleProblem[] = [];
  for (const slice of metric.slices)
    if (!slices.includes(slice))
      problems.push({ path: [...path, 'slices'], message: `slice "${slice}" is not in data.slices` });
  for (const key of ['floor', 'ceiling'] as const) {
    const limit = metric[key];
    if (limit === undefined) continue;
    if (limit < 0 || (!unbounded.includes(metric.metric) && limit > 1))
      problems.push({
        path: [...path, key],
        message: unbounded.includes(metric.metric)
          ? `expected zero or more, got ${limit}`
          : `expected a share between 0 and 1 such as 0.90, got ${limit}`,
      });
    if ((key === 'floor') !== (metric.direction === 'higher'))
      problems.push({
        path: [...path, key],
        message: `of ${metric.metric}, ${metric.direction} is better: expected ${key === 'floor' ? 'ceiling' : 'floor'}`,
      });
  }
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
