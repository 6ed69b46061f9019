import assert from 'node:assert/strict';
import { type Awaited, awaitWorkload } from '../../../src/client/cli/workload-wait.ts';
import { NoServer, NotRunning, NoWorkers, Refused } from '../../../src/client/errors.ts';
import type { WorkloadHandle } from '../../../src/client/workload.ts';

type Status = globalThis.Awaited<ReturnType<WorkloadHandle['status']>>;

describe('waiting for a workload', () => {
  const noCounts = { succeeded: 0, failed: 0, cancelled: 0, skipped: 0 };
  const running: Status = {
    ...{ workload: 'prices', key: 'k', state: 'running', round: 1, jobs: 3, counts: noCounts },
    ...{ wavesRunning: [0], waves: 1, failures: [], waitsFor: 'jobs', command: null, running: ['a'], waiting: 2 },
  };
  const result = {
    state: 'succeeded',
    jobs: 3,
    ...noCounts,
    succeeded: 3,
    failures: [],
    report: `sha256:${'a'.repeat(64)}`,
  };
  const wait = async (...looks: (Status | Error)[]) => {
    const notes: string[] = [];
    const handle: Awaited = {
      run: { workload: 'prices', key: 'k' },
      async status() {
        const look = looks.shift()!;
        if (look instanceof Error) throw look;
        return look;
      },
      result: async () => result as globalThis.Awaited<ReturnType<WorkloadHandle['result']>>,
    };
    return { end: await awaitWorkload(handle, { note: (text) => void notes.push(text) }, 1), notes };
  };

  it('outlives workers and a server that are away, and says each change once', async () => {
    const { end, notes } = await wait(
      ...[new NoWorkers('no answer'), new NoWorkers('no answer'), running, running, new NoServer('gone'), running],
      ...[{ ...running, counts: { ...noCounts, succeeded: 2 } }, new NotRunning('ended')],
    );
    assert.deepEqual(end, result);
    assert.equal(notes.length, 5, notes.join('\n'));
    assert.match(
      notes[0]!,
      /^prices\/k is accepted and stays so, but no control worker answers: .*goto3 workload status prices\/k/,
    );
    assert.equal(notes[1], 'prices/k: 0 of 3 jobs succeeded, 1 running');
    assert.match(notes[2]!, /the Temporal server is away/);
    assert.equal(notes[4], 'prices/k: 2 of 3 jobs succeeded, 1 running');
  });

  it('does not wait for a person, and not on after an error that waiting does not mend', async () => {
    const { end } = await wait(running, { ...running, state: 'parked', counts: { ...noCounts, failed: 1 } });
    assert.deepEqual([end.state, end.failed], ['parked', 1]);
    await assert.rejects(wait(new Refused('no')), /no/);
  });
});
