import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { refNames, workflowIds } from '../../src/contracts/names.ts';
import { eventually } from '../temporal.ts';
import { isLongForm } from './harness/long-form.ts';
import { LoopUnderFault } from './harness/loop.ts';
import { pointRows } from './harness/rows.ts';
import { sharedStack } from './harness/shared-stack.ts';
import { Story } from './harness/story.ts';

const signals = isLongForm ? 20_000 : 3_000;
const senders = 32;

describe('a cycle that is parked while new data is announced over and over', function () {
  this.timeout(600_000);

  it('goes on when it is repaired, and one cycle follows for all that was announced', async () => {
    const stack = await sharedStack();
    const story = new Story(stack, 'a cycle is parked while newData signals arrive by the thousand');
    const { store, temporal } = stack.goto3;
    const loop = await LoopUnderFault.write(stack, 'announced', { trainer: { kind: 'misbehaving', how: 'noModel' } });
    await loop.apply();
    const cycle = stack.goto3.cycle('announced/1');
    await eventually('the cycle is parked', async () => (await cycle.status()).command !== null, 120_000);
    await loop.append(pointRows(240, 120));
    const handle = stack.goto3.loop('announced');
    let [sent, slowestMs] = [0, 0];
    const send = async (): Promise<void> => {
      while (sent < signals) {
        sent += 1;
        await handle.newData(1);
      }
    };
    /** What is not answered in time throws (client/talk.ts). */
    const asks = async (): Promise<void> => {
      while (sent < signals) {
        const from = performance.now();
        await handle.status();
        slowestMs = Math.max(slowestMs, performance.now() - from);
        await setTimeout(200);
      }
    };
    await Promise.all([asks(), ...Array.from({ length: senders }, send)]);
    story.hasFired(`${sent} signals were sent`);
    // A run cannot end while signals keep coming in: it goes on as a new one in the first gap, or with some more.
    const runs = await eventually(
      'the loop goes on as a new run beside the parked cycle',
      async () => {
        await handle.newData(1);
        await handle.status();
        const lengths = await historyLengths(temporal, workflowIds.loop('announced'));
        return lengths.length > 1 && lengths;
      },
      60_000,
    );

    await writeFile(join(loop.folder, 'repaired'), '');
    await story.type('cycle', 'retry', 'announced/1', '--reason', 'repaired');
    const report = await loop.report(1);
    story.goesOn();
    assert.equal(report.outcome, 'approved', report.detail);
    assert.equal((await loop.report(2)).newRows, 120);
    await eventually('the loop rests', async () => {
      const { state, queued } = await handle.status();
      return state === 'idle' && queued === null;
    });
    assert.equal((await store.refs.read(refNames.cycles('announced')))?.entry, 2, 'one cycle for all of them');
    await story.end({
      note: `${signals} signals; status answered within ${Math.round(slowestMs)} ms, the longest run has ${Math.max(...runs)} events`,
    });
  });
});

async function historyLengths(
  temporal: Awaited<ReturnType<typeof sharedStack>>['goto3']['temporal'],
  workflowId: string,
): Promise<number[]> {
  const lengths: number[] = [];
  for await (const { historyLength } of temporal.workflow.list({ query: `WorkflowId = '${workflowId}'` }))
    lengths.push(historyLength ?? 0);
  return lengths;
}
