import assert from 'node:assert/strict';
import fc from 'fast-check';
import { mayRetake } from '../../src/jobs/local/claim.ts';
import type { Claim } from '../../src/jobs/local/job-folder.ts';
import { splitLines } from '../../src/jobs/local/log-pages.ts';
import type { ProcessEntry } from '../../src/jobs/local/processes.ts';
import { programProcesses } from '../../src/jobs/local/program-processes.ts';
import { resolveProgram, withPriority } from '../../src/jobs/program.ts';
import { type ProgressLine, ProgressReader, parseProgress } from '../../src/jobs/progress.ts';

describe('argv of a program', () => {
  const tools = { node: '/bin/this-node', typeScriptLoader: 'file:///loader.mjs' };
  const resolved = (...argv: string[]) => resolveProgram(argv, '/loops/spam', tools);

  it('node is this Node, and its script starts from the working directory', () => {
    assert.deepEqual(resolved('node', 'train.mjs', '--epochs', '3'), [
      '/bin/this-node',
      '/loops/spam/train.mjs',
      '--epochs',
      '3',
    ]);
    assert.deepEqual(resolved('node', '-r', './hook.cjs', '../x.mjs', 'a.ts'), [
      '/bin/this-node',
      '-r',
      './hook.cjs',
      '/loops/x.mjs',
      'a.ts',
    ]);
  });

  it('TypeScript gets the loader, where this Node needs one', () => {
    assert.deepEqual(resolved('node', 'train.ts'), [
      '/bin/this-node',
      '--import',
      'file:///loader.mjs',
      '/loops/spam/train.ts',
    ]);
    assert.deepEqual(resolveProgram(['node', '/t.mts'], '/w', { node: 'n' }), ['n', '/t.mts']);
    assert.deepEqual(resolved('node', '-e', 'x.ts'), ['/bin/this-node', '-e', 'x.ts']);
  });

  it('other programs keep their arguments; only a relative executable is resolved', () => {
    assert.deepEqual(resolved('./mc', './in.txt'), ['/loops/spam/mc', './in.txt']);
    assert.deepEqual(resolved('python3', 'train.py', '$(x)'), ['python3', 'train.py', '$(x)']);
  });

  it('priority and death signal stand before it', () => {
    assert.deepEqual(withPriority(['p'], 5, { setpriv: '/bin/setpriv', nice: '/bin/nice' }), [
      '/bin/setpriv',
      '--pdeathsig',
      'KILL',
      '--',
      '/bin/nice',
      '-n',
      '5',
      'p',
    ]);
    assert.deepEqual(withPriority(['p', 'a'], 0, {}), ['p', 'a']);
  });
});

describe('progress lines', () => {
  it('need a number, and carry the other numbers', () => {
    assert.deepEqual(parseProgress('{"progress": 0.5, "loss": 1, "tag": "x"}'), {
      fraction: 0.5,
      metrics: { loss: 1 },
    });
    assert.equal(parseProgress('{"progress": 7}')?.fraction, 1);
    for (const line of ['{"progress": "0.5"}', '{"loss": 1}', '{', '[]', 'null', ''])
      assert.equal(parseProgress(line), undefined);
  });

  it('are found whatever the pipe does to them', () => {
    const line = fc.oneof(
      fc.double({ min: 0, max: 1, noNaN: true }).map((progress) => JSON.stringify({ progress })),
      fc.constantFrom('', '{', '{}', 'text', ' {"progress":1}', '{"progress":"x"}', 'zażółć {', '}'),
    );
    fc.assert(
      fc.property(
        fc.array(line),
        fc.array(fc.integer({ min: 1, max: 9 })),
        fc.boolean(),
        (lines, sizes, lineFeedAtEnd) => {
          const bytes = Buffer.from(lines.join('\n') + (lineFeedAtEnd ? '\n' : ''));
          const found: ProgressLine[] = [];
          const reader = new ProgressReader((p) => found.push(p));
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const size = sizes[i % Math.max(1, sizes.length)] ?? 5;
            reader.feed(bytes.subarray(at, at + size));
            at += size;
          }
          reader.end();
          const expected = lines.filter((l) => l.startsWith('{')).map(parseProgress);
          assert.deepEqual(
            found,
            expected.filter((p) => p !== undefined),
          );
        },
      ),
    );
  });

  it('that never end are not kept', () => {
    const found: ProgressLine[] = [];
    const reader = new ProgressReader((p) => found.push(p));
    reader.feed(Buffer.from('{'));
    for (let i = 0; i < 100; i++) reader.feed(Buffer.alloc(4096, ' '));
    reader.feed(Buffer.from('"progress": 1}\n{"progress": 0.5}\n'));
    assert.deepEqual(found, [{ fraction: 0.5, metrics: {} }]);
  });
});

describe('log lines', () => {
  it('come whole and once, wherever the pages are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme' }).map((s) => s.replaceAll('\n', ' '))),
        fc.nat(),
        (lines, at) => {
          const bytes = Buffer.from(lines.join('\n'));
          const cut = at % (bytes.length + 1);
          const first = splitLines(bytes.subarray(0, cut), false);
          const second = splitLines(bytes.subarray(first.usedBytes), true);
          const expected = bytes.length === 0 ? [] : lines.at(-1) === '' ? lines.slice(0, -1) : lines;
          assert.deepEqual([...first.lines, ...second.lines], expected);
        },
      ),
    );
  });

  it('longer than 64 KiB come in pieces, cut between characters', () => {
    const { lines } = splitLines(Buffer.from('🎉'.repeat(40_000)), true);
    assert.equal(lines.length, 3);
    assert.equal(lines.join(''), '🎉'.repeat(40_000));
  });
});

describe('processes of a program', () => {
  const entry = (pid: number, parent: number, group: number, session: number, more: Partial<ProcessEntry> = {}) => ({
    pid,
    parent,
    group,
    session,
    startTicks: 100,
    zombie: false,
    ...more,
  });
  const pids = (table: ProcessEntry[], marked: number[] = []) =>
    programProcesses({ marker: 'm', leader: { pid: 50, startTicks: 100 } }, table, (pid) => marked.includes(pid)).map(
      (p) => p.pid,
    );

  it('are its group, its session, the marked, and all their children', () => {
    const table = [
      entry(1, 0, 1, 1),
      entry(50, 9, 50, 50),
      entry(51, 50, 51, 50),
      entry(60, 1, 60, 60),
      entry(61, 60, 61, 61),
      entry(70, 1, 70, 70),
      entry(52, 50, 50, 50, { zombie: true }),
    ];
    assert.deepEqual(pids(table, [60]), [50, 51, 60, 61]);
  });

  it('are not those of a later process with the same pid', () => {
    assert.deepEqual(pids([entry(50, 1, 50, 50, { startTicks: 200 }), entry(51, 50, 50, 50, { startTicks: 201 })]), []);
    assert.deepEqual(pids([entry(51, 1, 50, 50, { startTicks: 90 })]), []);
  });
});

describe('a claim', () => {
  const claim = (batchJob?: { id: string; restarts: number }): Claim => ({
    host: 'h',
    bootId: 'b',
    pidNamespace: 'n',
    pid: 1,
    startTicks: 1,
    by: 'wrapper',
    marker: 'm',
    renewWithinMs: 1,
    at: '',
    ...(batchJob && { batchJob }),
  });

  it('is taken again only by the same batch job with a higher restart count', () => {
    assert.equal(mayRetake(claim(), claim()), false);
    assert.equal(mayRetake(claim({ id: '7', restarts: 0 }), claim({ id: '7', restarts: 1 })), true);
    assert.equal(mayRetake(claim({ id: '7', restarts: 1 }), claim({ id: '7', restarts: 1 })), false);
    assert.equal(mayRetake(claim({ id: '7', restarts: 0 }), claim({ id: '8', restarts: 1 })), false);
    assert.equal(mayRetake(claim(), claim({ id: '7', restarts: 1 })), false);
  });
});
