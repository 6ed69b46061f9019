import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { connect, type Goto3 } from '../../src/client/connect.ts';
import type { LoopStatus } from '../../src/contracts/messages.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import { runCli } from '../client/cli/run-cli.ts';
import { StackProcess } from '../processes.ts';
import { linearModel, numericSignature } from '../serving/models.ts';
import { eventually, startTemporal } from '../temporal.ts';

const loopFile = `
apiVersion: goto3/v1
loop: feed
model: feed
data:
  program: [./feed]
  poll: 1s
  columns: { id: id, time: at, label: kind, features: [x, y] }
  holdout: { share: 40%, newest: 300 }
base: { warmStart: never }
train: { program: [node, train.mjs], resources: { memory: 512MiB, time: 1m } }
gate: { metrics: [{ metric: accuracy, floor: 0.80, margin: 10pt }] }
rollout: none
triggers: { newRows: 60 }
limits: { cyclesPerDay: 10 }
`;

const training = `
import { copyFileSync } from 'node:fs';
for (const name of ['model.onnx', 'signature.json']) copyFileSync(name, \`\${process.env.SM_MODEL_DIR}/\${name}\`);
console.log(JSON.stringify({ progress: 1 }));
`;

const sound = `#!/bin/sh
tail -n "+$(( \${2:-0} + 1 ))" rows.jsonl
echo "{\\"cursor\\":\\"$(wc -l < rows.jsonl | tr -d ' ')\\"}"
`;
const broken = (words: string, prints: string): string => `#!/bin/sh\necho "${words}" >&2\n${prints}\n`;

/** From the shell of whoever has to repair it: the loop parks, says why, and goes on when it is repaired. */
describe('a data program that is broken', function () {
  this.timeout(180_000);
  let temporal: TestWorkflowEnvironment;
  let home: string;
  let env: Record<string, string>;
  let goto3: Goto3;
  const processes: StackProcess[] = [];

  before(async () => {
    temporal = await startTemporal();
    home = await mkdtemp(join(tmpdir(), 'goto3-bad-feed-'));
    await writeFile(join(home, 'loop.yaml'), loopFile);
    await writeFile(join(home, 'train.mjs'), training);
    await writeFile(join(home, 'signature.json'), JSON.stringify(numericSignature));
    await writeFile(join(home, 'model.onnx'), linearModel({ wx: 1, wy: 1, bias: 0 }));
    await feedIs(sound);
    await deliver(300);
    env = { GOTO3_HOME: home, TEMPORAL_ADDRESS: temporal.address };
    for (const queue of ['control', 'cpu', 'gpu']) processes.push(new StackProcess('main.ts', ['--queue', queue], env));
    goto3 = await connect({ environment: readEnvironment(env), by: 'test' });
    for (const child of processes) await child.healthy();
    await told('apply', join(home, 'loop.yaml'));
  });
  after(async () => {
    for (const child of processes) await child.end('SIGKILL');
    await goto3?.close();
    await temporal?.teardown();
    await rm(home, { recursive: true, force: true });
  });

  const told = async (...words: string[]): Promise<void> => {
    const { code, stderr } = await runCli(home, words, env);
    assert.equal(code, 0, `goto3 ${words.join(' ')}: ${stderr}`);
  };
  /** Never half there: a program that is being written cannot be started. */
  async function feedIs(text: string, mode = 0o755): Promise<void> {
    await writeFile(join(home, 'feed.new'), text, { mode });
    await rename(join(home, 'feed.new'), join(home, 'feed'));
  }
  let delivered = 0;
  /** Two clouds of points; `x` may have another name. */
  async function deliver(rows: number, x = 'x'): Promise<void> {
    const lines = Array.from({ length: rows }, () => {
      const n = delivered++;
      const center = n % 2 === 0 ? -1 : 1;
      const at = new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString();
      const row = { id: `row-${n}`, at, kind: center < 0 ? 'ham' : 'spam', y: center + 1.2 * Math.cos(n * 78.233) };
      return `${JSON.stringify({ ...row, [x]: center + 1.2 * Math.sin(n * 12.9898) })}\n`;
    });
    await appendFile(join(home, 'rows.jsonl'), lines.join(''));
  }
  const loopIs = async (what: string, is: (status: LoopStatus) => boolean): Promise<LoopStatus> =>
    await eventually(
      what,
      async () => {
        const status = await goto3.loop('feed').status();
        return is(status) && status;
      },
      60_000,
    );
  const reportOf = async (n: number) => await goto3.cycle(`feed/${n}`).result({ timeoutMs: 60_000 });
  /** What a person sees, who then repairs it, and says so with the command that he sees. */
  const parksWith = async (why: RegExp): Promise<void> => {
    await loopIs('it is parked', ({ state }) => state === 'parked');
    const { stdout } = await runCli(home, ['status'], env);
    assert.match(stdout, /loop\/feed parked/);
    assert.match(stdout, why);
    assert.match(stdout, /goto3 loop resume feed --reason/);
    await feedIs(sound);
    await told('loop', 'resume', 'feed', '--reason', 'repaired');
    await loopIs('it looks for data again', ({ state, waitsFor }) => state === 'idle' && waitsFor === 'new data');
  };

  it('begins with one that is not', async () => {
    const { outcome, newRows } = await reportOf(1);
    assert.deepEqual([outcome, newRows], ['approved', 300]);
    await loopIs('it waits for new data', ({ waitsFor }) => waitsFor === 'new data');
  });

  const breaks: [what: string, feed: () => Promise<void>, why: RegExp][] = [
    ['is not there', () => rm(join(home, 'feed')), /cannot be started: .*\/feed: no such executable/],
    ['is not executable', () => feedIs(sound, 0o644), /cannot be started: .*\/feed: no such executable/],
    [
      'prints rubbish',
      () => feedIs(broken('exporting to PDF', "echo '%PDF-1.7'")),
      /line 1 is not JSON; it said: exporting to PDF/,
    ],
    [
      'prints half a row',
      () => feedIs(broken('disk quota exceeded', `printf '{"id":"row-300","at":"2002'`)),
      /line 1 is not JSON; it said: disk quota exceeded/,
    ],
    [
      'never ends its line',
      () => feedIs(broken('dumping', "head -c 20000000 /dev/zero | tr '\\0' x")),
      /line 1 is longer than 16777216 bytes; it said: dumping/,
    ],
    [
      'goes back',
      () => feedIs(broken('restored from last month', `echo '{"cursor":"299"}'`)),
      /the cursor went back from 300 to 299.*; it said: restored from last month/,
    ],
    [
      'ends with an exit code',
      () => feedIs(broken('relation mails does not exist', 'exit 3')),
      /ended with exit code 3: relation mails does not exist/,
    ],
  ];
  for (const [what, breakIt, why] of breaks)
    it(`${what}: the loop parks with its words, and goes on when it is repaired`, async () => {
      await breakIt();
      await parksWith(why);
    });

  it('renames a column: the loop parks, and takes the rows when they have it again', async () => {
    await deliver(80, 'width');
    const { stdout } = await eventually('status tells', async () => {
      await loopIs('it is parked', ({ state }) => state === 'parked');
      return await runCli(home, ['status'], env);
    });
    assert.match(stdout, /none of 80 rows fits the schema: x: expected text, a finite number/);
    await feedIs(sound.replace('rows.jsonl\n', `rows.jsonl | sed 's/"width":/"x":/'\n`));
    await told('loop', 'resume', 'feed', '--reason', 'the column is back');
    const { outcome, newRows } = await reportOf(2);
    assert.deepEqual([outcome, newRows], ['approved', 80]);
  });
});
