import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fences, readPage } from '../deploy/docs/page.ts';
import { eventually } from '../temporal.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** From `init` to a model that serves, the stack being up (issue 9). */
const firstModelWithinMs = 60_000;

/** A shop's orders as its owner would bring them: quotes, gaps, Windows line ends; late is mostly weight and distance. */
function orders(count: number): string {
  let seed = 11;
  const uniform = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed / 2 ** 31;
  };
  const lines = Array.from({ length: count }, (_, n) => {
    const [weight, distance, express] = [0.1 + uniform() * 30, 1 + uniform() * 900, Math.round(uniform())];
    const noise = (uniform() + uniform() + uniform() - 1.5) * 1.6;
    const late = 0.08 * weight + 0.004 * distance - 2.5 * express - 1.6 + noise > 0 ? 'yes' : 'no';
    const note = n % 3 === 0 ? '"ring, twice"' : '';
    const date = new Date(Date.UTC(2026, 0, 1) + n * 3_600_000).toISOString().slice(0, 10);
    return `${n + 1},${date},${weight.toFixed(2)},${distance.toFixed(1)},${express},${note},${late}\r\n`;
  });
  return `order_no,date,weight,distance,express,note,late\r\n${lines.join('')}`;
}

interface Run {
  code: number | null;
  text: string;
}

describe('docs/your-first-loop.md, from the first to the last line', function () {
  this.timeout(300_000);
  const lines = fences(readPage('your-first-loop.md'), 'sh').flatMap((fence) => fence.trim().split('\n'));
  let folder: string;
  let up: ChildProcess | undefined;
  let upSaid = '';
  const runs = new Map<string, Run>();

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-first-loop-'));
    await writeFile(join(folder, 'orders.csv'), orders(900));
  });
  after(async () => {
    if (up && up.exitCode === null && up.signalCode === null) {
      const ended = once(up, 'exit');
      up.kill('SIGTERM');
      await ended;
    }
    await rm(folder, { recursive: true, force: true });
  });

  it('does what the page says', async () => {
    let [cwd, searchPath, endpoint] = [root, process.env.PATH ?? '', ''];
    let appliedAt = 0;
    const { HOME, CI, TEMPORAL_CLI } = process.env;
    const start = (line: string): ChildProcess =>
      spawn('bash', ['-c', line.startsWith('goto3 up') ? `exec ${line}` : line], {
        cwd,
        env: { PATH: searchPath, HOME, ...(CI && { CI }), ...(TEMPORAL_CLI && { TEMPORAL_CLI }) },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    const run = async (line: string): Promise<Run> => {
      const child = start(line);
      let text = '';
      for (const stream of [child.stdout!, child.stderr!])
        stream.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
      const [code] = (await once(child, 'close')) as [number | null];
      return { code, text };
    };
    const expected = async (line: string): Promise<void> => {
      const done = await run(line);
      assert.equal(done.code, 0, `${line}\n${done.text}`);
      runs.set(line, done);
    };

    for (const line of lines) {
      if (line.startsWith('export PATH')) {
        searchPath = `${join(cwd, 'bin')}:${searchPath}`;
        cwd = folder;
      } else if (line.startsWith('cd ')) cwd = join(cwd, line.slice(3));
      else if (line.startsWith('goto3 up')) {
        up = start(line);
        for (const stream of [up.stdout!, up.stderr!])
          stream.setEncoding('utf8').on('data', (part: string) => {
            upSaid += part;
          });
        await eventually('the stack is up', async () => /^endpoint orders/m.test(upSaid), 120_000);
        endpoint = /^endpoint orders +(\S+)/m.exec(upSaid)![1]!;
        appliedAt = Date.now();
      } else if (line.startsWith('goto3 cycle explain')) {
        const explained = await eventually(
          'the first cycle has ended',
          async () => {
            const asked = await run(line);
            return asked.code === 0 ? asked : assert.fail(asked.text);
          },
          firstModelWithinMs,
        );
        assert.ok(Date.now() - appliedAt < firstModelWithinMs, `${Date.now() - appliedAt} ms`);
        console.log(`      from apply to the first served model: ${Date.now() - appliedAt} ms`);
        runs.set(line, explained);
      } else if (line.startsWith('curl')) await expected(line.replace('http://127.0.0.1:8080', endpoint));
      else await expected(line);
    }
    const said = (start: string): string => [...runs].find(([line]) => line.startsWith(start))![1].text;
    assert.match(said('goto3 init'), /id: order_no, time: date/);
    assert.match(said('goto3 init'), /features +weight, distance, express\nleft out +note: /);
    assert.match(said('goto3 cycle explain'), /outcome +deployed/);
    assert.match(said('goto3 cycle explain'), /\bcost\b/);
    const { predictions } = JSON.parse(said('curl')) as { predictions: { label: string; score: number }[] };
    assert.equal(predictions[0]?.label, 'yes');
    assert.match(
      said('goto3 apply loop.yaml --dry-run'),
      /- train\.hyperparameters\.epochs: 300\n\+ train\.hyperparameters\.epochs: 400\n.*dry run: nothing was changed/,
    );
    assert.match(
      said('goto3 apply loop.yaml --reason'),
      /\+ train\.hyperparameters\.epochs: 400\nloop orders: updated; /,
    );
    assert.match(said('goto3 cycle list'), /^ +1 +deployed/m);
    await eventually('up has ended', async () => up!.exitCode !== null || up!.signalCode !== null, 60_000);
    assert.match(await readFile(join(folder, 'orders', '.gitignore'), 'utf8'), /\.goto3/);
  });
});
