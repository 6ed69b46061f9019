import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseSbatchScript, type SbatchScript } from '../../../src/jobs/sbatch-script/parse.ts';

const parse = (text: string) => parseSbatchScript(Buffer.from(text));
const good = (text: string): SbatchScript => {
  const result = parse(text);
  assert.ok('script' in result, JSON.stringify(result));
  return result.script;
};
/** `line:column message` of each problem. */
const bad = (text: string): string[] => {
  const result = parse(text);
  assert.ok('problems' in result, JSON.stringify(result));
  return result.problems.map(({ line, column, message }) => `${line}:${column} ${message}`);
};
const withDirective = (directive: string): string => `#!/bin/bash\n#SBATCH ${directive}\nsrun ./solver\n`;

describe('#SBATCH scripts', () => {
  it('reads what people write: long and short names, quotes, comments, blanks', () => {
    const { interpreter, options, notes } = good(
      [
        '#!/bin/bash -l',
        '# a comment',
        '#SBATCH --job-name="heat"   # its name',
        '#SBATCH -N 2 -n8',
        '#SBATCH --cpus-per-task 4 --mem-per-cpu=2G',
        '',
        "#SBATCH -t '1-12:30:15' --array=0-9:3,20%2",
        '#SBATCH --gres=gpu:2 --constraint=efa&intel -p spot,ondemand --exclusive',
        '#SBATCH --output=logs/%x-%A_%4a.out',
        '#SBATCH-not-one',
        'srun ./solver',
        '#SBATCH --nodes=77',
      ].join('\n'),
    );
    assert.deepEqual(interpreter, ['/bin/bash', '-l']);
    assert.deepEqual(options, {
      name: 'heat',
      nodes: 2,
      tasks: 8,
      cpusPerTask: 4,
      memoryPerCpu: 2 ** 31,
      timeMs: ((24 + 12) * 3_600 + 30 * 60 + 15) * 1_000,
      array: { tasks: '0,3,6,9,20', atOnce: 2 },
      gpusPerNode: 2,
      constraint: 'efa&intel',
      partitions: ['spot', 'ondemand'],
      exclusive: true,
    });
    assert.deepEqual(
      notes.map(({ option, line }) => [option, line]),
      [['output', 9]],
    );
  });

  it('reads times as Slurm does', () => {
    for (const [text, minutes] of [
      ['90', 90],
      ['90:30', 90.5],
      ['1:30:00', 90],
      ['2-0', 2_880],
      ['2-12:30', 3_630],
    ] as const)
      assert.equal(good(withDirective(`--time=${text}`)).options.timeMs, minutes * 60_000, text);
  });

  const refused: [name: string, script: string, problem: RegExp][] = [
    [
      'a newline smuggled into a name',
      withDirective('--job-name="x\\n#SBATCH --wrap=id"'),
      /^2:9 --job-name: expected letters/,
    ],
    [
      'a quote that a line end opens',
      '#!/bin/sh\n#SBATCH --job-name="x\n#SBATCH --wrap=id"\n',
      /^2:20 expected a second "/,
    ],
    ['a shell in a partition', withDirective('--partition="a\';id;\'"'), /^2:9 --partition: expected letters/],
    ['--wrap', withDirective('--wrap=id'), /^2:9 --wrap: a script has its own text/],
    ['nodes 0', withDirective('--nodes=0'), /^2:9 --nodes: expected a whole number from 1 to 10000/],
    ['nodes -1', withDirective('--nodes=-1'), /^2:9 --nodes/],
    ['nodes 1e9', withDirective('-N 1e9'), /^2:9 --nodes/],
    ['nodes as a range', withDirective('-N 1-4'), /^2:9 --nodes/],
    ['a time of nonsense', withDirective('--time=99-99:99:99'), /^2:9 --time: expected a time/],
    ['no end', withDirective('--time=UNLIMITED'), /^2:9 --time/],
    ['memory 10XB', withDirective('--mem=10XB'), /^2:9 --mem: expected a size such as/],
    ['a huge array', withDirective('--array=0-999999999%1'), /^2:9 --array: expected task numbers up to 4000000/],
    ['too many tasks', withDirective('--array=0-3999999'), /^2:9 --array: expected at most 10000 tasks/],
    ['a pattern that leaves the folder', withDirective('--output=../%x.out'), /^2:9 --output: expected a path below/],
    ['an absolute log', withDirective('--error=/etc/%j'), /^2:9 --error: expected a path below/],
    ['an unknown pattern', withDirective('--output=%q.out'), /^2:9 --output: expected only the patterns/],
    ['an unknown option', withDirective('--nodess=2'), /^2:9 "--nodess=2": not an option/],
    ['a word that is none', withDirective('nodes=2'), /^2:9 "nodes=2": not an option/],
    ['a missing value', withDirective('--nodes'), /^2:9 --nodes: expected a value/],
    ['the same twice', '#!/bin/sh\n#SBATCH -N 1\n#SBATCH --nodes=2\n', /^3:9 --nodes is given in line 2 already/],
    ['DOS line ends', '#!/bin/bash\r\n#SBATCH -N 1\r\n', /^1:12 expected Unix line ends/],
    ['NUL', '#!/bin/bash\n#SBATCH -N 1\0\n', /^2:13 expected text without NUL/],
    ['a line of a megabyte', `#!/bin/bash\n# ${'x'.repeat(2 ** 20)}\n`, /^2:65538 expected lines of at most/],
    ['no shebang', '#SBATCH -N 1\n', /^1:1 expected a first line/],
    ['a shebang with two arguments', '#!/usr/bin/env -S bash -c id\n', /^1:1 expected a first line/],
    ['a dependency', withDirective('--dependency=afterok:1'), /^2:9 --dependency: .*needs/],
  ];
  for (const [name, script, problem] of refused)
    it(`refuses ${name}, with its place`, () => {
      assert.match(bad(script)[0]!, problem);
    });

  it('whatever the bytes: either every value is fit for Slurm, or a problem has a place in the text', () => {
    const piece = fc.constantFrom(
      '#SBATCH',
      ' ',
      '--',
      '-N',
      '=',
      '"',
      "'",
      '\\',
      '%',
      '$(id)',
      ';',
      '\n',
      '\r',
      '\0',
      'name',
      '--job-name=',
      '--partition=',
      'a',
      '1',
      '..',
      '/',
      '`',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const text = `#!/bin/sh\n${pieces.join('')}`;
        const result = parse(text);
        if ('problems' in result)
          for (const { line, column } of result.problems) {
            const lines = text.split('\n');
            assert.ok(line >= 1 && line <= lines.length && column >= 1 && column <= lines[line - 1]!.length + 1);
          }
        else
          for (const value of Object.values(result.script.options).flat())
            if (typeof value === 'string') assert.match(value, /^[A-Za-z0-9._&|-]+$/);
      }),
      { numRuns: 2_000 },
    );
  });
});
