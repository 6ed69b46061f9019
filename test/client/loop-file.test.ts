import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { InvalidFile } from '../../src/client/errors.ts';
import { checkLoop, readLoopFile } from '../../src/client/loop-file.ts';
import { parseYaml } from '../../src/client/yaml.ts';

const loopFile = fileURLToPath(new URL('./loop.yaml', import.meta.url));
const example = fileURLToPath(new URL('../../examples/spam-filter/loop.yaml', import.meta.url));
// biome-ignore lint/suspicious/noExplicitAny: the tests break the file on purpose
type Broken = any;

const problemsOf = (run: () => unknown): readonly string[] => {
  try {
    run();
  } catch (error) {
    if (error instanceof InvalidFile) return error.problems;
    throw error;
  }
  return assert.fail('it was accepted');
};

describe('loop file: YAML', () => {
  const lol = (name: string, of: string) => `${name}: &${name} [${Array.from({ length: 9 }, () => of).join(',')}]\n`;
  const bomb = `${lol('a', 'lol')}${lol('b', '*a')}${lol('c', '*b')}${lol('d', '*c')}${lol('e', '*d')}${lol('f', '*e')}`;
  const rows: [what: string, text: string | Buffer, expected: RegExp][] = [
    ['an alias bomb', bomb, /aliases are not supported/],
    ['an anchor that contains itself', 'a: &a\n  b: *a\n', /aliases are not supported/],
    ['a merge key', 'x: &x { a: 1 }\ny:\n  <<: *x\n', /aliases are not supported/],
    ['a JavaScript function', 'loop: !!js/function "x"\n', /tag.*line 1/i],
    ['a Python object', 'loop: !!python/object:os.system "id"\n', /tag.*line 1/i],
    ['tabs', 'data:\n\tprogram: 1\n', /Tabs.*line 2/],
    ['two documents', 'loop: a\n---\nloop: b\n', /one document/],
    ['UTF-16', Buffer.from('\ufeffloop: a\n', 'utf16le'), /UTF-8/],
    ['a lone continuation byte', Buffer.from([0x6c, 0x80, 0x0a]), /UTF-8/],
    ['a key that comes twice', 'loop: a\nloop: b\n', /unique.*line 2/],
    ['a prototype', '__proto__: { polluted: true }\n', /__proto__: not a name/],
    ['a prototype further down', 'train: { hyperparameters: { __proto__: 1 } }\n', /train\.hyperparameters\.__proto__/],
    ['deep brackets', '['.repeat(200_000), /nested too deeply/],
    ['deep mappings in one line', '{a: '.repeat(50_000), /nested too deeply/],
    ['deep lists in one line', '- '.repeat(100_000), /nested too deeply/],
    ['deep keys in one line', '? '.repeat(100_000), /nested too deeply/],
    ['deep indentation', Array.from({ length: 600 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'), /nested too deeply/],
    ['nothing', '', /expected a mapping/],
    ['a list', '- a\n', /expected a mapping/],
  ];
  for (const [what, text, expected] of rows)
    it(`refuses ${what}, in less than a second`, () => {
      const startedMs = performance.now();
      const problems = problemsOf(() => parseYaml('loop.yaml', Buffer.from(text)));
      assert.match(problems.join('\n'), expected);
      assert.ok(performance.now() - startedMs < 1_000, `took ${performance.now() - startedMs} ms`);
      assert.equal(({} as { polluted?: boolean }).polluted, undefined);
    });

  it('takes a byte order mark', async () => {
    const text = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), await readFile(loopFile)]);
    assert.equal(checkLoop('loop.yaml', parseYaml('loop.yaml', text)).loop, 'spam-filter');
  });

  it('includes no other file', () => {
    const problems = problemsOf(() =>
      checkLoop('loop.yaml', parseYaml('loop.yaml', Buffer.from('include: ../../etc/passwd\n'))),
    );
    assert.ok(problems.includes('include: unknown field'));
  });

  it('reads no file that is too large, and names one that is not there', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'goto3-client-'));
    try {
      const large = join(folder, 'large.yaml');
      await writeFile(large, `loop: "${'a'.repeat(10 * 2 ** 20)}"\n`);
      await assert.rejects(readLoopFile(large), /expected at most 262144 bytes, has 10485769/);
      await assert.rejects(readLoopFile(join(folder, 'none.yaml')), /none\.yaml:\n {2}no such file/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('loop file: spec', () => {
  let text: string;
  before(async () => {
    text = await readFile(loopFile, 'utf8');
  });
  const broken = (edit: (spec: Broken) => void): readonly string[] => {
    const spec: Broken = parse(text);
    edit(spec);
    return problemsOf(() => checkLoop('loop.yaml', spec));
  };

  const own = (spec: Broken, metric: object): void => {
    spec.evaluate = { program: ['python3', 'evaluate.py'] };
    spec.gate.metrics = [metric];
  };

  const rows: [what: string, edit: (spec: Broken) => void, expected: string][] = [
    ['no name', (s) => delete s.loop, 'loop: missing; expected string'],
    ['another version', (s) => (s.apiVersion = 'goto3/v2'), 'apiVersion: expected "goto3/v1"'],
    ['capitals in a name', (s) => (s.loop = 'Spam'), 'loop: expected lower-case letters'],
    ['a name of 1,001 characters', (s) => (s.model = 'a'.repeat(1_001)), 'model: expected lower-case letters'],
    ['a combining character in a name', (s) => (s.loop = 'spa\u0301m'), 'loop: expected lower-case letters'],
    ['a path as a name', (s) => (s.rollout.endpoint = '../x'), 'rollout.endpoint: expected lower-case letters'],
    ['an unknown field', (s) => (s.trian = {}), 'trian: unknown field'],
    ['a misspelled field in a union', (s) => (s.rollout.canry = ['5%']), 'rollout.canry: unknown field'],
    ['a program that is a shell line', (s) => (s.data.program = 'node feed.ts'), 'data.program: expected array'],
    ['NUL in a program', (s) => (s.data.program = ['a\0b']), 'data.program.0: expected text without NUL'],
    ['negative cycles', (s) => (s.limits.cycles = -1), 'limits.cycles: expected number to be >0'],
    ['a number as text', (s) => (s.limits.cycles = '10'), 'limits.cycles: expected number, received string'],
    ['NaN', (s) => (s.limits.gpuHoursPerDay = Number.NaN), 'limits.gpuHoursPerDay: expected number, received NaN'],
    ['infinity', (s) => (s.limits.gpuHoursPerDay = Number.POSITIVE_INFINITY), 'limits.gpuHoursPerDay: expected number'],
    ['minus zero', (s) => (s.limits.gpuHoursPerDay = -0), 'limits.gpuHoursPerDay: expected number to be >0'],
    [
      'an interval of nothing',
      (s) => (s.data.poll = '0s'),
      'data.poll: expected "push", or expected a duration above zero',
    ],
    ['a negative interval', (s) => (s.limits.minInterval = '-5m'), 'limits.minInterval: expected a duration such as'],
    ['years', (s) => (s.limits.minInterval = '1y'), 'limits.minInterval: expected a duration such as'],
    [
      'minutes as a word',
      (s) => (s.limits.minInterval = '5 minutes'),
      'limits.minInterval: expected a duration such as',
    ],
    [
      'a size without a unit that exists',
      (s) => (s.train.resources.memory = '10XB'),
      'train.resources.memory: expected a size',
    ],
    ['half a GPU', (s) => (s.train.resources.gpus = 0.5), 'train.resources.gpus: expected int'],
    ['a gate without metrics', (s) => (s.gate.metrics = []), 'gate.metrics: expected array to have >=1 items'],
    [
      'a metric without a limit',
      (s) => (s.gate.metrics = [{ metric: 'f1' }]),
      'gate.metrics.0: expected at least one of floor',
    ],
    [
      'a metric that nobody measures',
      (s) => (s.gate.metrics[0].metric = 'acuracy'),
      'gate.metrics.0.metric: expected one of "accuracy"',
    ],
    [
      'percent where a share is meant',
      (s) => (s.gate.metrics[0].floor = 90),
      'gate.metrics.0.floor: expected a share between 0 and 1',
    ],
    [
      'a floor where lower is better',
      (s) => (s.gate.metrics[1].floor = 0.1),
      'gate.metrics.1.floor: of falsePositiveRate, lower is better: expected ceiling',
    ],
    [
      'a negative margin',
      (s) => (s.gate.metrics[0].margin = '-2pt'),
      'gate.metrics.0.margin: expected a loss that is allowed',
    ],
    [
      'a slice that is not sliced',
      (s) => (s.data.slices = []),
      'gate.metrics.1.slices: slice "hasHtml" is not in data.slices',
    ],
    [
      'the label as a feature',
      (s) => s.data.columns.features.push('isSpam'),
      'data.columns.features.2: "isSpam" is the label',
    ],
    ['everything held out', (s) => (s.data.holdout.share = '100%'), 'data.holdout.share: expected a share above 0%'],
    ['weights that fall', (s) => (s.rollout.canary = ['50%', '10%']), 'rollout.canary: expected weights that rise'],
    ['a canary of everything', (s) => (s.rollout.canary = ['100%']), 'rollout.canary.0: expected a canary weight'],
    [
      'a rollback on a gain',
      (s) => (s.rollout.probation.rollbackOn.accuracy = '+3pt'),
      'rollout.probation.rollbackOn.accuracy: expected a loss',
    ],
    [
      'a cron that never comes',
      (s) => (s.triggers.schedule = { cron: '99 3 * * *' }),
      'triggers.schedule.cron: minute: expected',
    ],
    [
      'a cron of six fields',
      (s) => (s.triggers.schedule = { cron: '0 0 3 * * *' }),
      'triggers.schedule.cron: expected five fields',
    ],
    [
      'a time zone that is none',
      (s) => (s.triggers.schedule = { cron: '0 3 * * *', timezone: 'Mars/Base' }),
      'triggers.schedule.timezone: expected',
    ],
    [
      "a direction that is missing: the program's metric is nobody else's",
      (s) => own(s, { metric: 'cost', margin: 0.1 }),
      'gate.metrics.0.direction: missing; expected "higher" or "lower"',
    ],
    [
      'a metric of no program',
      (s) => (s.gate.metrics = [{ metric: 'cost', direction: 'lower', margin: 0.1 }]),
      'gate.metrics.0.metric: expected one of "accuracy"',
    ],
    [
      'how to sum up a metric of ours',
      (s) => own(s, { metric: 'accuracy', aggregate: 'rootMean', margin: '1pt' }),
      'gate.metrics.0.aggregate: accuracy is computed by goto3',
    ],
    [
      'another sum than there is',
      (s) => own(s, { metric: 'cost', direction: 'lower', aggregate: 'median', margin: 0.1 }),
      'gate.metrics.0.aggregate: expected one of "mean"|"rootMean"',
    ],
    [
      'points of what is no share',
      (s) => own(s, { metric: 'cost', direction: 'lower', margin: '1pt' }),
      'gate.metrics.0.margin: expected a number, as cost is measured',
    ],
    [
      'a number where points are meant',
      (s) => (s.gate.metrics[0].margin = 2),
      'gate.metrics.0.margin: expected percentage points such as "2pt"',
    ],
    [
      'a latency without its unit',
      (s) => (s.gate.metrics = [{ metric: 'latencyP99', ceiling: 20 }]),
      'gate.metrics.0.ceiling: expected a duration such as "20ms"',
    ],
    [
      'a time as an error rate',
      (s) => (s.gate.metrics[1].ceiling = '20ms'),
      'gate.metrics.1.ceiling: expected a number, as falsePositiveRate is measured',
    ],
    [
      'errors of numbers, of classes',
      (s) => (s.gate.metrics = [{ metric: 'rmse', ceiling: 3 }]),
      'gate.metrics.0.metric: expected one of "accuracy"',
    ],
    [
      'shares of classes, of numbers',
      (s) => (s.data.task = 'regression'),
      'gate.metrics.0.metric: expected one of "rmse", "mae", "r2"',
    ],
    [
      'live accuracy of numbers',
      (s) => (s.data.task = 'regression'),
      'triggers.liveAccuracyBelow: compares classes, and data.task is regression',
    ],
    [
      'label disagreement of numbers',
      (s) => (s.data.task = 'regression'),
      'data.checks.labelDisagreement: compares classes',
    ],
    ['probation of numbers', (s) => (s.data.task = 'regression'), 'rollout.probation: compares classes'],
    [
      'a task that is none',
      (s) => (s.data.task = 'ranking'),
      'data.task: expected one of "classification"|"regression"',
    ],
    [
      'int8 that may lose nobody knows how much',
      (s) => (s.quantize = { int8: 'dynamic' }),
      'quantize.margin: missing; expected how much accuracy',
    ],
    [
      'int8 that may lose accuracy of numbers',
      (s) => (s.data.task = 'regression'),
      'quantize.margin: expected worseBy: data.task is regression',
    ],
    [
      'an evaluation program that is a shell line',
      (s) => (s.evaluate = { program: 'python3 evaluate.py' }),
      'evaluate.program: expected array',
    ],
    ['an evaluation of nothing', (s) => (s.evaluate = {}), 'evaluate.program: missing; expected array'],
    [
      'a misspelled field of the evaluation',
      (s) => (s.evaluate = { program: ['a'], hyperparameter: {} }),
      'evaluate.hyperparameter: unknown field',
    ],
    [
      'a credential for the evaluation',
      (s) => (s.evaluate = { program: ['a'], env: { API_TOKEN: 'x' } }),
      'evaluate.env.API_TOKEN: expected { secret: <name> }',
    ],
    ['a delay before the row', (s) => (s.data.labelDelay = '-1d'), 'data.labelDelay: expected a duration such as'],
    [
      'a delay without its unit',
      (s) => (s.data.labelDelay = 86400),
      'data.labelDelay: expected string, received number',
    ],
    ['drift as a number', (s) => (s.triggers.drift = 0.1), 'triggers.drift: expected'],
    [
      'a monitor that may always be wrong',
      (s) => (s.triggers.drift = { falseAlarms: '50%' }),
      'triggers.drift.falseAlarms: expected a share above 0% and at most 20%, got "50%"',
    ],
    [
      'a window of a few rows',
      (s) => (s.triggers.drift = { window: 10 }),
      'triggers.drift.window: expected number to be >=50',
    ],
    [
      'bias without groups',
      (s) => {
        s.data.slices = [];
        for (const metric of s.gate.metrics) delete metric.slices;
        s.triggers.bias = { positive: 'spam' };
      },
      'triggers.bias: compares groups of rows: name their columns in data.slices',
    ],
    [
      'bias of answers that nobody gives',
      (s) => Object.assign(s, { rollout: 'none', triggers: { bias: { positive: 'spam' } } }),
      'triggers.bias: reads live answers, and rollout is none',
    ],
    [
      'bias of numbers',
      (s) => {
        s.data.task = 'regression';
        s.triggers.bias = { positive: 'spam' };
      },
      'triggers.bias: compares classes, and data.task is regression',
    ],
    [
      'accuracy as percent',
      (s) => (s.triggers.liveAccuracyBelow = 95),
      'triggers.liveAccuracyBelow: expected number to be <=1',
    ],
    [
      'an option as a hyperparameter',
      (s) => (s.train.hyperparameters['--help'] = 1),
      'train.hyperparameters.--help: expected a name',
    ],
    [
      'a written-out credential',
      (s) => (s.train.env = { AWS_SECRET_ACCESS_KEY: 'x' }),
      'train.env.AWS_SECRET_ACCESS_KEY: expected { secret: <name> }',
    ],
    [
      'a key id as a hyperparameter',
      (s) => (s.train.hyperparameters.id = 'AKIAIOSFODNN7EXAMPLE'),
      'train.hyperparameters.id: expected { secret: <name> }',
    ],
    [
      'a webhook that is no secret',
      (s) => (s.notify = { on: ['parked'], webhook: 'https://x' }),
      'notify.webhook: expected object',
    ],
    [
      'an approval by nobody',
      (s) => (s.approval = { by: [], within: '1h' }),
      'approval.by: expected array to have >=1 items',
    ],
  ];
  for (const [what, edit, expected] of rows)
    it(`names the field: ${what}`, () => {
      const problems = broken(edit);
      assert.ok(
        problems.some((problem) => problem.startsWith(expected)),
        `expected ${JSON.stringify(expected)} in ${JSON.stringify(problems)}`,
      );
    });

  it('takes metrics of an evaluation program, and regression', () => {
    const spec: Broken = parse(text);
    own(spec, { metric: 'cost', direction: 'lower', margin: 0.1 });
    spec.gate.metrics.push({
      metric: 'rmsLog',
      value: 'logError',
      aggregate: 'rootMean',
      direction: 'lower',
      ceiling: 2,
    });
    const [cost, rms] = checkLoop('loop.yaml', spec).gate.metrics;
    assert.deepEqual([cost!.value, cost!.aggregate, cost!.margin], ['cost', 'mean', 0.1]);
    assert.deepEqual([rms!.value, rms!.aggregate, rms!.ceiling], ['logError', 'rootMean', 2]);
    const numbers: Broken = parse(text);
    numbers.data.task = 'regression';
    delete numbers.data.checks.labelDisagreement;
    delete numbers.triggers.liveAccuracyBelow;
    numbers.rollout = 'none';
    numbers.quantize = { int8: 'dynamic', worseBy: '2%' };
    numbers.gate.metrics = [
      { metric: 'rmse', ceiling: 60, worseBy: '5%' },
      { metric: 'r2', floor: -0.5, margin: 0.02 },
      { metric: 'latencyP99', worseBy: '50%', margin: '5ms' },
      { metric: 'sizeBytes', ceiling: '10MiB' },
    ];
    const { gate } = checkLoop('loop.yaml', numbers);
    assert.deepEqual(
      gate.metrics.map(({ metric, direction, margin, ceiling }) => [metric, direction, margin ?? ceiling]),
      [
        ['rmse', 'lower', 60],
        ['r2', 'higher', 0.02],
        ['latencyP99', 'lower', 5],
        ['sizeBytes', 'lower', 10 * 2 ** 20],
      ],
    );
  });

  it('takes the example', async () => {
    assert.equal((await readLoopFile(example)).spec.loop, 'spam-filter');
  });

  it('names every field that is wrong, not only the first', () => {
    assert.equal(
      broken((s) => {
        s.loop = 'Spam';
        s.data.poll = '1y';
        s.gate.metrics = [];
      }).length,
      3,
    );
  });

  it('leaves values alone that a shell would read: nothing passes through one', () => {
    const spec: Broken = parse(text);
    spec.train.hyperparameters = { a: '$(touch x)', b: '; rm -rf /', c: '`id`', d: '--help', tokenizer: 'words' };
    assert.deepEqual(checkLoop('loop.yaml', spec).train.hyperparameters, spec.train.hyperparameters);
  });

  it('takes names and steps in a cron', () => {
    const spec: Broken = parse(text);
    for (const cron of ['*/15 0-6,22 1 jan-mar mon', '0 3 * * 7', '5 4 * * sun'])
      assert.equal(checkLoop('loop.yaml', { ...spec, triggers: { schedule: { cron } } }).triggers.schedule?.cron, cron);
  });
});
