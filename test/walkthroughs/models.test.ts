import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Promotion } from '../../src/models/promotion-log.ts';
import { fences, readPage } from '../deploy/docs/page.ts';
import { Registry, rowsOf } from '../models/registry.ts';

const bin = fileURLToPath(new URL('../../bin/goto3', import.meta.url));

/** As the shell of the page's reader: `goto3 …` in the project's folder, without any variable of ours. */
function type(folder: string, line: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
  const child = spawn(process.execPath, [bin, ...words.slice(1)], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TZ: 'UTC' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const run = { code: null as number | null, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    run.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    run.stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ ...run, code }));
  });
}

/** The evaluation program of production: what a miss costs there. */
const evaluation = `
import { readFileSync, writeFileSync } from 'node:fs';
const rows = readFileSync(process.env.SM_CHANNEL_HOLDOUT + '/rows.jsonl', 'utf8').trim().split('\\n').map(JSON.parse);
readFileSync(process.env.SM_CHANNEL_MODEL + '/model.onnx');
writeFileSync(process.env.SM_OUTPUT_DATA_DIR + '/outcomes.jsonl', rows.map(({ id }) => JSON.stringify({ id, cost: 0.1 }) + '\\n').join(''));
`;

describe('docs/models.md', function () {
  this.timeout(240_000);
  let folder: string;
  let [staging, prod] = [] as unknown as [Registry, Registry];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-models-page-'));
    [staging, prod] = [await Registry.open('staging'), await Registry.open('prod')];
    await staging.apply();
    await staging.deliver(rowsOf('2002-07-10', 120));
    await staging.approve(await staging.train(0.3));
    await staging.deliver(rowsOf('2002-08-10', 120));
    await staging.approve(await staging.train(0, { cycle: 2 }));
    await prod.deliver(rowsOf('2002-08-20', 200));
    await writeFile(join(prod.folder, 'evaluate.mjs'), evaluation);
    await prod.apply({
      evaluate: { program: ['node', 'evaluate.mjs'] },
      gate: {
        metrics: [
          { metric: 'accuracy', floor: 0.9 },
          { metric: 'cost', direction: 'lower', ceiling: 0.5 },
        ],
      },
      approval: { by: ['bob'], within: '24h' },
    });
    const environments = { staging: { home: staging.folder }, prod: { home: prod.folder } };
    await writeFile(
      join(folder, 'goto3.yaml'),
      JSON.stringify({ apiVersion: 'goto3/v1', default: 'staging', environments }),
    );
  });
  after(async () => {
    await staging.close();
    await prod.close();
    await rm(folder, { recursive: true });
  });

  it('is true from the first command to the last', async () => {
    const lines = fences(readPage('models.md'), 'sh').flatMap((fence) =>
      fence.split('\n').filter((line) => line.startsWith('goto3 ')),
    );
    assert.equal(lines.length, 7);
    const [backtest, compare, dryRun, prune, promote, list, approve] = lines as [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ];

    const first = await type(folder, backtest);
    assert.equal(first.code, 0, first.stderr);
    assert.match(
      first.stdout,
      /version +trained to +2002-07 +2002-08\n +1 +2002-07-10 +0\.\d{4}· +0\.\d{4}\n +2 +2002-08-10 +1\.0000· +1\.0000·\n/,
    );
    assert.match(first.stdout, /4 cells scored now, 0 were there/);
    assert.match(await readFile(join(folder, 'backtest.svg'), 'utf8'), />v2</);
    const again = await type(folder, `${backtest} --json`);
    const { computed, reused } = JSON.parse(again.stdout) as { computed: number; reused: number };
    assert.deepEqual([computed, reused], [0, 4]);

    const compared = await type(folder, compare);
    assert.equal(compared.code, 0, compared.stderr);
    assert.match(compared.stdout, /accuracy +overall +\d+ +1\.0000 +0\.\d{4} +\+0\.\d{4} +\[\+0\.\d{4}, \+0\.\d{4}\]/);
    assert.match(compared.stdout, /accuracy +half=1/);
    assert.match(compared.stdout, /They disagree on \d+ rows\n.*\n2002-0[78]-10-\d+ +.*spam/);
    assert.doesNotMatch(compared.stdout, /"x":/);
    assert.match((await type(folder, `${compare} --features`)).stdout, /\{"x":0\.\d+,"y":\d+\}/);

    const promoted = await type(folder, `${promote} --json`);
    assert.equal(promoted.code, 0, promoted.stderr);
    const { key, state, reasons } = JSON.parse(promoted.stdout) as Promotion;
    assert.equal(state, 'waiting', reasons.join('; '));
    assert.match((await type(folder, list)).stdout, new RegExp(`${key.slice(0, 12)} +staging@2 +waiting`));
    const said = await type(folder, approve.replace('<promotion>', key.slice(0, 12)));
    assert.equal(said.code, 0, said.stderr);
    assert.match(
      (await type(folder, 'goto3 models show prices --env prod')).stdout,
      /1 +sha256:\w+ +bob .*looked at the slices \(staging@2\)/,
    );
    const mallory = await type(folder, approve.replace('<promotion>', key.slice(0, 12)).replace('bob', 'mallory'));
    assert.equal(mallory.code, 3);

    const planned = await type(folder, dryRun);
    assert.match(planned.stdout, /would delete 1 file, [\d.]+ \w+ \(\d+ bytes\)/);
    // Both were approved this month, and version 2 is the newest of it.
    assert.match((await type(folder, prune)).stdout, /deleted 1 file/);
    assert.equal((await type(folder, 'goto3 store verify --env staging')).code, 0);
    assert.match((await type(folder, 'goto3 models lineage prices@1 --env staging')).stdout, /Dataset/);
    const pruned = await type(folder, backtest);
    assert.match(pruned.stdout, /pruned, so nothing new is scored: version 1/);
    assert.match(pruned.stdout, /0 cells scored now, 4 were there/);
  });

  it('says what is wrong with what was typed', async () => {
    const bad: [line: string, code: number, why: RegExp][] = [
      ['goto3 models backtest prices --by day', 2, /--by day: expected week or month/],
      ['goto3 models backtest prices --metric acuracy', 2, /did you mean "accuracy"/],
      ['goto3 models backtest other', 1, /no loop of the model other is applied here/],
      ['goto3 models compare prices@9 prices@1', 1, /has no version 9/],
      ['goto3 models prune prices --keep some', 2, /--keep "some": expected a number/],
      ['goto3 models promote prices --from staging --to prod', 2, /expected <model>@<version>/],
      [
        'goto3 models promote prices@2 --from staging --to production',
        2,
        /has no such environment; did you mean|it has staging, prod/,
      ],
      ['goto3 models promote prices@2 --from prod --to prod', 2, /expected another environment/],
      ['goto3 models approve prices ffffffff --env prod --reason x', 2, /there is none/],
    ];
    for (const [line, code, why] of bad) {
      const run = await type(folder, line);
      assert.match(run.stderr, why, line);
      assert.equal(run.code, code, line);
    }
    await mkdir(join(folder, 'elsewhere'));
    await rename(join(folder, 'goto3.yaml'), join(folder, 'elsewhere/goto3.yaml'));
    const lost = await type(folder, 'goto3 models promote prices@2 --from staging --to prod');
    assert.match(lost.stderr, /--env staging: there is no goto3.yaml/);
  });
});
