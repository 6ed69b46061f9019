import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readEnvironmentsFile } from '../../../src/client/environments.ts';
import { readLoopFile } from '../../../src/client/loop-file.ts';
import { nearest } from '../../../src/client/nearest.ts';
import { readTargets } from '../../../src/stack/targets.ts';
import { documentOf, runCli } from './run-cli.ts';

const csv = (rows: number, label: (n: number) => string): string =>
  `id,seen at,width,"high, or not",colour,gap,kind\n${Array.from(
    { length: rows },
    (_, n) => `p${n},x,${n % 7}.5,-${n}e-1,"re""d",${n % 2 === 0 ? 1 : ''},${label(n)}\n`,
  ).join('')}`;

describe('goto3 init', function () {
  this.timeout(40_000);
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-init-'));
    await writeFile(
      join(folder, 'kinds.csv'),
      csv(120, (n) => (n % 3 === 0 ? 'b' : 'a')),
    );
    await writeFile(
      join(folder, 'numbers.csv'),
      csv(120, (n) => String(n / 2)),
    );
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const init = (dir: string, ...rest: string[]) => runCli(join(folder, 'home'), ['init', join(folder, dir), ...rest]);
  const kinds = ['--csv', '', '--label', 'kind'];
  const of = (file: string, ...rest: string[]): string[] => {
    const options = [...kinds, ...rest];
    options[1] = join(folder, file);
    return options;
  };

  it('a file of text gets the text recipe, which really learns from what its data program gives', async () => {
    const words = (n: number) => (n % 3 === 0 ? 'the printer is out of paper' : 'please reset my password');
    // Empty texts and texts that look like numbers are texts.
    const text = (n: number) =>
      n % 20 === 4 ? '' : n % 20 === 7 ? '42' : `${words(n)}, said person ${'abcdefghij'[n % 10]}`;
    const lines = Array.from(
      { length: 120 },
      (_, n) => `t${n},"${text(n)}",p${n % 3},${n % 3 === 0 ? 'office' : 'it'}\n`,
    );
    await writeFile(join(folder, 'tickets.csv'), `id,body,place,kind\n${lines.join('')}`);
    const run = await init('tickets', ...of('tickets.csv', '--json'));
    assert.equal(run.code, 0, run.stderr);
    const { columns } = documentOf<{ columns: { kind: string; features: string[]; leftOut: object[] } }>(run);
    assert.deepEqual([columns.kind, columns.features], ['text', ['body']]);
    assert.deepEqual(columns.leftOut, [{ column: 'place', reason: 'no text: single words' }]);

    const { spec, folder: project } = await readLoopFile(join(folder, 'tickets', 'loop.yaml'));
    const [node, trainer] = spec.train.program;
    const shell = promisify(execFile);
    const env = { ...process.env, ...(spec.data.env as Record<string, string>) };
    const { stdout } = await shell(process.execPath, ['feed.mjs'], { cwd: project, env });
    const rows = stdout
      .trim()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.ok(rows.every(({ body }) => typeof body === 'string'));
    await mkdir(join(folder, 'train'));
    const asSegment = rows.map((row) =>
      JSON.stringify({ id: row.$id, time: row.$time, label: row.kind, features: { body: row.body } }),
    );
    await writeFile(join(folder, 'train', 'rows.jsonl'), asSegment.join('\n'));
    const at = (part: string): string => join(folder, part);
    assert.equal(node, 'node');
    await shell(process.execPath, ['--import', 'tsx', join(project, trainer!)], {
      env: {
        ...process.env,
        ...{
          SM_CHANNEL_TRAIN: at('train'),
          SM_HPS: JSON.stringify(spec.train.hyperparameters),
          SM_MODEL_DIR: at('model'),
        },
        ...{ SM_OUTPUT_DIR: at('out'), SM_OUTPUT_DATA_DIR: at('out/data'), SM_CHECKPOINT_DIR: at('checkpoints') },
      },
    });
    const { loadPredictor } = await import('../../../src/serving/predictor.ts');
    const predictor = await loadPredictor(at('model'));
    const answers = await predictor.predict([{ body: 'no paper in the printer' }, { body: 'my password, please' }]);
    await predictor.close();
    assert.deepEqual(
      answers.map(({ label }) => label),
      ['office', 'it'],
    );
    assert.equal((await init('snakes', ...of('tickets.csv', '--template', 'text', '--python'))).code, 2);
  });

  it('looks at the columns, and writes a project whose file is valid and whose test passes', async () => {
    const run = await init('parcels', ...of('kinds.csv', '--json'));
    assert.equal(run.code, 0, run.stderr);
    const document = documentOf<{ files: string[]; columns: object; name: string }>(run);
    assert.equal(document.name, 'parcels');
    assert.deepEqual(document.columns, {
      label: 'kind',
      features: ['width', 'high, or not'],
      kind: 'numbers',
      idColumn: 'id',
      timeColumn: '',
      leftOut: [
        { column: 'seen at', reason: 'not a number: "x"' },
        { column: 'colour', reason: 'not a number: "re\\"d"' },
        { column: 'gap', reason: 'empty in 60 of 120 rows' },
      ],
      rows: 120,
      labels: [
        ['b', 40],
        ['a', 80],
      ],
    });
    const { spec } = await readLoopFile(join(folder, 'parcels', 'loop.yaml'));
    assert.deepEqual(spec.data.columns.features, ['width', 'high, or not']);
    assert.equal(spec.gate.metrics[0]!.floor, 0.67);
    const { stdout } = await promisify(execFile)(process.execPath, ['--test'], { cwd: join(folder, 'parcels') });
    assert.match(stdout, /pass 2/);
    assert.deepEqual((await readdir(folder)).sort(), ['kinds.csv', 'numbers.csv', 'parcels']);
  });

  for (const [template, language] of [
    ['regression', []],
    ['regression', ['--python']],
    ['classifier', ['--python']],
    ['slurm', []],
    ['sagemaker', []],
    ['sagemaker', ['--python']],
  ] as const)
    it(`${template} ${language.join('')}: the file is valid, every program that it names is there`, async () => {
      const file = template === 'regression' ? 'numbers.csv' : 'kinds.csv';
      const run = await init('own', ...of(file, '--template', template, ...language));
      assert.equal(run.code, 0, run.stderr);
      const project = join(folder, 'own');
      const { spec } = await readLoopFile(join(project, 'loop.yaml'));
      const files = await readdir(project);
      for (const { program } of [spec.data, spec.train, spec.evaluate!]) assert.ok(files.includes(program[1]!));
      const elsewhere = template === 'slurm' || template === 'sagemaker';
      assert.equal(spec.train.runsOn, elsewhere ? `${template}:lab` : 'local');
      assert.equal(files.includes('targets.yaml'), elsewhere);
      const { environments } = readEnvironmentsFile(join(project, 'goto3.yaml'));
      assert.equal(environments.dev!.targets, elsewhere ? 'targets.yaml' : undefined);
      if (elsewhere) {
        const { slurm, sagemaker } = await readTargets(join(project, 'targets.yaml'));
        assert.deepEqual(Object.keys(template === 'slurm' ? slurm : sagemaker), ['lab']);
      }
      if (template === 'sagemaker') {
        assert.deepEqual(spec.train.program, ['python3', 'train.py'], 'of the container');
        const [from, to] = /COPY (\S+) (\S+)/.exec(await readFile(join(project, 'Dockerfile'), 'utf8'))!.slice(1);
        assert.ok(files.includes(from!), `${from} for ${to}`);
      }
      for (const name of files.filter((entry) => entry.includes('.') && !entry.startsWith('.')))
        assert.doesNotMatch(await readFile(join(project, name), 'utf8'), /\{\{\w+\}\}/, name);
      if (language.length > 0) {
        await promisify(execFile)('python3', ['-m', 'unittest'], { cwd: project });
        for (const name of ['feed.py', 'train.py', 'evaluate.py'])
          await promisify(execFile)('python3', ['-c', `compile(open(${JSON.stringify(name)}).read(), 'x', 'exec')`], {
            cwd: project,
          });
      }
    });

  it('overwrites nothing', async () => {
    await mkdir(join(folder, 'mine'));
    await writeFile(join(folder, 'mine', 'thesis.txt'), 'years of work');
    const run = await init('mine', ...of('kinds.csv'));
    assert.equal(run.code, 2);
    assert.match(run.stderr, /mine: is not empty, and init overwrites nothing/);
    assert.deepEqual(await readdir(join(folder, 'mine')), ['thesis.txt']);
  });

  const refused: [what: string, argv: () => string[], problem: RegExp][] = [
    ['a column that is not there', () => of('kinds.csv', '--label', 'knid'), /no such column; did you mean "kind"\?/],
    ['a file that is not there', () => of('none.csv'), /none\.csv: no such file/],
    ['a template that is not there', () => of('kinds.csv', '--template', 'clasifier'), /did you mean "classifier"\?/],
    ['words as numbers', () => of('kinds.csv', '--template', 'regression'), /not all of it are numbers/],
    ['numbers as classes', () => of('numbers.csv'), /has 120 different values; --template regression/],
  ];
  for (const [what, argv, problem] of refused)
    it(`refuses ${what}, and leaves nothing behind`, async () => {
      const run = await init('own', ...argv());
      assert.equal(run.code, 2, run.stderr);
      assert.match(run.stderr, problem);
      assert.deepEqual((await readdir(folder)).sort(), ['kinds.csv', 'numbers.csv']);
    });
});

describe('the nearest spelling', () => {
  it('is offered where few letters are wrong, and not where it is another word', () => {
    const names = ['train', 'triggers', 'rollout', 'gate'];
    assert.equal(nearest('trian', names), '; did you mean "train"?');
    assert.equal(nearest('Rolout', names), '; did you mean "rollout"?');
    assert.equal(nearest('notify', names), '');
    assert.equal(nearest('x'.repeat(1e6), names), '');
  });
});
