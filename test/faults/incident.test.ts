import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { IncidentResult } from '../../src/client/cli/demo/incident/result.ts';

const command = fileURLToPath(new URL('../../bin/goto3', import.meta.url));

/** The real thing on three weeks of mail: `npm run demo -- --incident` adds one, in which the loop simply goes on. */
describe('goto3 demo --incident', function () {
  this.timeout(360_000);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-incident-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('three things go wrong: no request fails, no job runs twice, and every command is one line', async () => {
    const home = join(folder, 'home');
    const argv = [command, 'demo', '--incident', '--weeks', '3', '--home', home, '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, argv, { timeout: 350_000 }).catch(
      (error: Error & { stdout?: string; stderr?: string }) => {
        throw new Error(`${error.message}\n${error.stderr?.slice(-4_000)}\n${error.stdout?.slice(-4_000)}`);
      },
    );
    const { acts, clients, jobs, problems, cycles } = JSON.parse(stdout) as IncidentResult;
    assert.deepEqual(problems, []);
    const [killed, poisoned, slow] = acts;
    assert.deepEqual(
      acts.map(({ fired, typed }) => [fired, typed]),
      [
        [true, []],
        [true, ['goto3 cycle drop-data spam-filter/3 --reason "the labeller had the classes swapped"']],
        [true, ['goto3 endpoint unfreeze mail --reason "the slow layer is out of the training code"']],
      ],
    );
    const killedNames = ['temporal', 'worker-control', 'worker-cpu', 'worker-gpu', 'worker-hpc'];
    for (const name of killedNames) assert.ok(killed!.happened[0]!.includes(name), killed!.happened[0]);
    assert.match(killed!.happened[1]!, /^the fine-tune lived through it; cycle 2 /);
    assert.match(poisoned!.happened.join('\n'), /held back before training: 3\d\d of 3\d\d labels/);
    assert.match(slow!.happened.join('\n'), /passed the gate and has 25 %.*rolled back by the canary: p99 latency/s);
    assert.equal(cycles[3]?.outcome, 'rolledBack');
    assert.ok(clients.sent > 1_000, `${clients.sent} requests`);
    assert.deepEqual([clients.failed, jobs.done, jobs.twice], [0, 4, []]);
  });
});
