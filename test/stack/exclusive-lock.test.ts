import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { lockHolder, tryLock } from '../../src/stack/exclusive-lock.mjs';
import { identify, isAlive } from '../../src/stack/process-identity.mjs';
import { until } from './up-process.ts';

const module = new URL('../../src/stack/exclusive-lock.mjs', import.meta.url).href;

describe('exclusive lock', () => {
  let folder: string;
  const started: ChildProcess[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'goto3-lock-'));
  });
  afterEach(async () => {
    for (const child of started.splice(0)) if (child.kill('SIGKILL')) await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });

  /** A process that tries at once when told to, prints whether it got the lock, and stays. */
  async function contender(): Promise<{ child: ChildProcess; go: () => Promise<string> }> {
    const child = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { tryLock } from '${module}';
         process.stdin.on('data', () => console.log(tryLock(process.argv[1], 'x').acquired));
         console.log('ready');`,
        folder,
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    started.push(child);
    const lines = createInterface({ input: child.stdout! });
    await once(lines, 'line');
    return {
      child,
      go: async () => {
        const answer = once(lines, 'line');
        child.stdin!.write('go\n');
        return String((await answer)[0]);
      },
    };
  }

  it('is given to one of many who ask at once, again and again after kill -9 of its holder', async () => {
    const contenders = await Promise.all(Array.from({ length: 5 }, contender));
    while (contenders.length > 0) {
      const answers = await Promise.all(contenders.map(({ go }) => go()));
      assert.deepEqual(answers.filter((answer) => answer === 'true').length, 1);
      const [winner] = contenders.splice(answers.indexOf('true'), 1);
      assert.equal(lockHolder(folder, 'x')?.pid, winner!.child.pid);
      winner!.child.kill('SIGKILL');
      await once(winner!.child, 'exit');
      assert.equal(lockHolder(folder, 'x'), undefined);
    }
  });

  it('is free again after a release, and refuses its own process while it is held', () => {
    const first = tryLock(folder, 'x');
    assert.ok(first.acquired);
    const second = tryLock(folder, 'x');
    assert.ok(!second.acquired && second.holder.pid === process.pid);
    first.release();
    const third = tryLock(folder, 'x');
    assert.ok(third.acquired);
    assert.equal(readdirSync(folder).length, 1);
  });

  it('is not held by another process that got the same pid later', () => {
    const me = identify(process.pid)!;
    writeFileSync(join(folder, 'x.lock.1'), JSON.stringify({ ...me, startTime: '1', at: 'then' }));
    assert.equal(lockHolder(folder, 'x'), undefined);
    writeFileSync(join(folder, 'x.lock.1'), JSON.stringify({ ...me, bootId: 'an earlier boot', at: 'then' }));
    assert.equal(lockHolder(folder, 'x'), undefined);
    assert.ok(tryLock(folder, 'x').acquired);
  });
});

describe('process identity', () => {
  it('tells the end of a process, also while its parent has not reaped it', async () => {
    // The shell becomes a program that never waits for the child that the shell had: that one ends later, and stays a zombie.
    const script = 'cat <&3 & echo $!; exec sleep 60 3<&-';
    const shell = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
    const [line] = await once(createInterface({ input: shell.stdout! }), 'line');
    await until('the other program', () => readFileSync(`/proc/${shell.pid}/cmdline`, 'utf8').startsWith('sleep'));
    (shell.stdio[3] as Writable).end();
    const identity = identify(shell.pid!);
    assert.ok(identity && isAlive(identity));
    await until('a zombie', () => readFileSync(`/proc/${line}/stat`, 'utf8').includes(') Z '));
    assert.equal(identify(Number(line)), undefined);
    shell.kill('SIGKILL');
    await once(shell, 'exit');
    assert.equal(isAlive(identity), false);
    assert.equal(identify(0), undefined);
  });
});
