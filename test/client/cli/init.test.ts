import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readEnvironmentsFile } from '../../../src/client/environments.ts';
import { readLoopFile } from '../../../src/client/loop-file.ts';
import { nearest } from '../../../src/client/nearest.ts';
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

  it('looks at the columns, and writes a project whose file is valid and whose test passes', async () => {
    const run = await init('parcels', ...of('kinds.csv', '--json'));
    assert.equal(run.code, 0, run.stderr);
    const document = documentOf<{ files: string[]; columns: object; name: string }>(run);
    assert.equal(document.name, 'parcels');
    assert.deepEqual(document.columns, {
      label: 'kind',
      features: ['width', 'high, or not'],
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
  ] as const)
    it(`${template} ${language.join('')}: the file is valid, every program that it names is there`, async () => {
      const file = template === 'regression' ? 'numbers.csv' : 'kinds.csv';
      const run = await init('own', ...of(file, '--template', template, ...language));
      assert.equal(run.code, 0, run.stderr);
      const project = join(folder, 'own');
      const { spec } = await readLoopFile(join(project, 'loop.yaml'));
      const files = await readdir(project);
      for (const { program } of [spec.data, spec.train, spec.evaluate!]) assert.ok(files.includes(program[1]!));
      assert.equal(spec.train.runsOn, template === 'slurm' ? 'slurm:lab' : 'local');
      assert.equal(files.includes('targets.yaml'), template === 'slurm');
      const { environments } = readEnvironmentsFile(join(project, 'goto3.yaml'));
      assert.equal(environments.dev!.targets, template === 'slurm' ? 'targets.yaml' : undefined);
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
    ['sagemaker', () => of('kinds.csv', '--template', 'sagemaker'), /not there yet/],
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
