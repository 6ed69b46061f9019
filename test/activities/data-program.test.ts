import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runDataProgram } from '../../src/activities/data/program.ts';
import { readSpec } from '../../src/activities/spec.ts';
import type { LoopSpec } from '../../src/contracts/loop-spec.ts';
import { readProcess } from '../../src/jobs/local/processes.ts';
import { eventually } from '../jobs/eventually.ts';
import { failure, House } from './house.ts';

describe('data program', () => {
  let house: House;
  beforeEach(async () => {
    house = await House.open();
  });
  afterEach(() => house.close());

  const ask = async (
    source: string | Buffer,
    { env = {}, since = '', signal = new AbortController().signal, quietForMs = 10_000 } = {} as {
      env?: LoopSpec['data']['env'];
      since?: string;
      signal?: AbortSignal;
      quietForMs?: number;
    },
  ) => {
    await house.write('program.mjs', source.toString());
    const { spec } = await readSpec(house.store, await house.apply());
    const rows: unknown[] = [];
    const data = { ...spec.data, program: ['node', 'program.mjs'], env };
    const input = { data, folder: house.loopFolder, since };
    const cursor = await runDataProgram({ ...house.programs, quietForMs }, input, signal, (value) => {
      rows.push(value);
    });
    return { cursor, rows };
  };
  const prints = (...lines: string[]): string => `process.stdout.write(${JSON.stringify(lines.join('\n'))});`;

  it('gives each line before the last one, and the last one is the next cursor', async () => {
    const answer = await ask(
      'const i = process.argv.indexOf(\'--since\'); console.log(JSON.stringify({ since: process.argv[i + 1] })); console.log(\'{"cursor":"next"}\');',
      { since: 'earlier' },
    );
    assert.deepEqual(answer, { cursor: 'next', rows: [{ since: 'earlier' }] });
  });

  it('takes no rows at all, empty lines, CRLF and a last line without its end', async () => {
    assert.deepEqual(await ask(prints('{"cursor":"7"}')), { cursor: '7', rows: [] });
    assert.deepEqual(await ask(prints('1\r', '', '2', '{"cursor":"7"}')), { cursor: '7', rows: [1, 2] });
  });

  it('refuses output that breaks the contract, and names the line', async () => {
    await assert.rejects(ask(''), failure('BadData', 'the last line must be {"cursor": "..."}'));
    await assert.rejects(ask(prints('{"id":"1"}')), failure('BadData', 'the last line must be'));
    await assert.rejects(ask(prints('{"cursor":7}')), failure('BadData', 'the last line must be'));
    await assert.rejects(ask(prints('null')), failure('BadData', 'the last line must be'));
    await assert.rejects(
      ask(prints('{"id":"1"}', '{broken', '{"cursor":""}')),
      failure('BadData', 'line 2 is not JSON'),
    );
    await assert.rejects(
      ask('process.stdout.write(Buffer.from([0x22, 0xff, 0x22, 0x0a])); console.log(\'{"cursor":""}\');'),
      failure('BadData', 'line 1 is not UTF-8'),
    );
  });

  it('shows the last words of a program that breaks the contract, without its secrets', async () => {
    house.secrets.set('warehouse', 'p@ss-word');
    const env = { PASSWORD: { secret: 'warehouse' } };
    const says = "console.error('reading with', process.env.PASSWORD); ";
    const words = '; it said: reading with ***';
    const half = '{"id":"1","at":"2002';
    await assert.rejects(ask(says + prints(half), { env }), failure('BadData', `line 1 is not JSON${words}`));
    await assert.rejects(ask(says + prints('%PDF-1.7', half), { env }), failure('BadData', 'line 1 is not JSON'));
    await assert.rejects(ask(says + prints('{"id":"1"}'), { env }), failure('BadData', `the next run${words}`));
  });

  it('refuses a cursor that goes back, where it can be seen to', async () => {
    const back = (since: string, cursor: string) => ask(prints(JSON.stringify({ cursor })), { since });
    await assert.rejects(back('500', '499'), failure('BadData', 'the cursor went back from 500 to 499'));
    await assert.rejects(back('2026-01-02T00:00:00Z', '2026-01-01T23:59:59.5Z'), failure('BadData', 'went back'));
    for (const [since, cursor] of [
      ['500', '500'],
      ['9', '10'],
      ['', '0'],
      ['0002.jsonl', '0001.jsonl'],
      ['2026-01-02T00:00:00Z', '7'],
    ] as const)
      assert.equal((await back(since, cursor)).cursor, cursor);
  });

  it('takes a row of 3 MB, and one with line separators that are not line ends', async () => {
    const { rows } = await ask(
      'console.log(JSON.stringify(\'x\'.repeat(3e6))); console.log(\'"a\\u2028b\\u0085c"\'); console.log(\'{"cursor":""}\');',
    );
    assert.equal((rows[0] as string).length, 3e6);
    assert.equal(rows[1], 'a\u2028b\u0085c');
  });

  it('ends a program that never ends its line, before the line fills the memory', async () => {
    await assert.rejects(
      ask(
        "const x = 'x'.repeat(2 ** 20); const more = () => { while (process.stdout.write(x)); process.stdout.once('drain', more); }; more();",
      ),
      failure('BadData', 'line 1 is longer than 16777216 bytes'),
    );
  });

  it('shows the end of stderr when the program fails', async () => {
    await assert.rejects(
      ask('console.log(\'{"cursor":""}\'); console.error(\'relation mails does not exist\'); process.exit(3);'),
      /program\.mjs ended with exit code 3: relation mails does not exist/,
    );
    await assert.rejects(ask('process.exit(4);'), /exit code 4: nothing on stderr/);
    await assert.rejects(ask("process.kill(process.pid, 'SIGSEGV');"), /was ended by SIGSEGV/);
  });

  it('gives secrets to the program and to nobody else', async () => {
    house.secrets.set('warehouse', 'postgres://ann:p@ss/"word"@db');
    const env = { DATABASE_URL: { secret: 'warehouse' }, REGION: 'eu' };
    const { rows } = await ask(
      "const { DATABASE_URL, REGION, AWS_SECRET_ACCESS_KEY } = process.env; console.log(JSON.stringify([DATABASE_URL, REGION, AWS_SECRET_ACCESS_KEY ?? null, process.argv.join(' ').includes('p@ss')])); console.log('{\"cursor\":\"\"}');",
      { env },
    );
    assert.deepEqual(rows, [['postgres://ann:p@ss/"word"@db', 'eu', null, false]]);

    const fails = ask(
      'const url = process.env.DATABASE_URL; console.error("cannot reach", url, encodeURIComponent(url), JSON.stringify({ url })); process.exit(1);',
      { env },
    );
    await assert.rejects(fails, (error: Error) => {
      assert.match(error.message, /cannot reach \*\*\* \*\*\* \{"url":"\*\*\*"\}/);
      assert.doesNotMatch(`${error.message}${error.stack}`, /p@ss|p%40ss/);
      return true;
    });
  });

  it('names a secret that is not there, and starts nothing', async () => {
    await assert.rejects(ask(prints('{"cursor":""}'), { env: { TOKEN: { secret: 'missing' } } }), /no secret missing/);
  });

  it('kills a program that hangs, and what it started, when it is cancelled', async () => {
    const cancel = new AbortController();
    const hangs = ask(
      "import { spawn } from 'node:child_process'; import { writeFileSync } from 'node:fs'; const child = spawn('sleep', ['1000']); writeFileSync('pids', [process.pid, child.pid].join(' ')); setInterval(() => {}, 1000);",
      { signal: cancel.signal },
    );
    const pids = await eventually('both run', async () => {
      const text = await readFile(join(house.loopFolder, 'pids'), 'utf8').catch(() => '');
      return text.includes(' ') && text.split(' ').map(Number);
    });
    const reason = new Error('the loop has better things to do');
    cancel.abort(reason);
    await assert.rejects(hangs, (error) => error === reason);
    for (const pid of pids)
      await eventually(`${pid} is gone`, () => {
        const found = readProcess(pid);
        return !found || found.zombie;
      });
  });

  it('ends a program that prints nothing for too long', async () => {
    await assert.rejects(ask('setInterval(() => {}, 1000);', { quietForMs: 300 }), /printed nothing for too long/);
  });

  it('does not wait for what the program leaves running', async () => {
    const { cursor } = await ask(
      "import { spawn } from 'node:child_process'; spawn('sleep', ['1000'], { stdio: 'inherit' }).unref(); console.log('{\"cursor\":\"1\"}'); process.exit(0);",
    );
    assert.equal(cursor, '1');
  });

  it('says what is wrong with a program that is not there', async () => {
    const { spec } = await readSpec(house.store, await house.apply());
    const start = (program: string[], folder = house.loopFolder) =>
      runDataProgram(
        house.programs,
        { data: { ...spec.data, program }, folder, since: '' },
        new AbortController().signal,
        () => undefined,
      );
    await assert.rejects(
      start(['./feed']),
      failure('InvalidInput', 'cannot be started', '/loop/feed: no such executable'),
    );
    await house.write('not-executable', '#!/bin/sh\necho');
    await assert.rejects(
      start(['./not-executable']),
      failure('InvalidInput', '/loop/not-executable: no such executable'),
    );
    await assert.rejects(start(['no-such-feed']), failure('InvalidInput', 'no-such-feed: not found in PATH'));
    await assert.rejects(start(['node', 'feed.mjs'], '/nowhere'), failure('InvalidInput', '/nowhere: no such folder'));
    await assert.rejects(start(['node', 'missing.mjs']), /exit code 1: .*missing\.mjs/s);
  });

  it('stops reading, and the program with it, when a row is refused', async () => {
    const { spec } = await readSpec(house.store, await house.apply());
    await house.write(
      'endless.mjs',
      'const more = () => { while (process.stdout.write("{}\\n")); process.stdout.once("drain", more); }; more();',
    );
    const input = { data: { ...spec.data, program: ['node', 'endless.mjs'] }, folder: house.loopFolder, since: '' };
    await assert.rejects(
      runDataProgram(house.programs, input, new AbortController().signal, (_row, line) => {
        if (line === 3) throw new Error('the disk is full');
      }),
      /the disk is full/,
    );
  });
});
