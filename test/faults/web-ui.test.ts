import assert from 'node:assert/strict';
import { refNames, workflowIds } from '../../src/contracts/names.ts';
import { eventually } from '../temporal.ts';
import { sharedStack } from './harness/shared-stack.ts';
import type { StackUnderFault } from './harness/stack.ts';
import { Story } from './harness/story.ts';
import { exitOf, inTraining, undisturbedWeights, weightsOf } from './harness/training.ts';
import { WebUi } from './harness/web-ui.ts';

describe('a person at the buttons of the Temporal Web UI', function () {
  this.timeout(400_000);
  let stack: StackUnderFault;
  let ui: WebUi;

  before(async () => {
    stack = await sharedStack();
    ui = new WebUi(stack);
  });

  it('terminates a cycle in the middle of its training: the job is reaped, a retry trains again', async () => {
    const undisturbed = await undisturbedWeights(stack);
    const story = new Story(stack, 'a cycle is terminated in the Web UI, mid-training');
    const loop = await inTraining(stack, 'ui-terminated');
    const { pid } = await loop.trains();
    await ui.terminate(workflowIds.cycle(loop.name, 1), 'I thought that it hangs');
    story.hasFired('the server has terminated it');
    const { state } = await exitOf(stack, loop);
    assert.equal(state, 'cancelled');
    await eventually('its program is gone', async () => !stack.processesLeft().includes(pid));
    // The loop looks after its cycle every hour; a person who does not want to wait ends it too, and applies it again.
    await ui.terminate(workflowIds.loop(loop.name), 'to begin again');
    story.typed();
    await loop.apply();
    // What somebody ended by hand, somebody begins again: the cycle waits under its number.
    const cycle = stack.goto3.cycle(`${loop.name}/1`);
    await eventually('the cycle is parked', async () => (await cycle.status()).command?.includes('retry'), 120_000);
    await story.type('cycle', 'retry', `${loop.name}/1`, '--reason', 'it did not hang');
    story.goesOn((await loop.trains(2)).atMs);
    assert.equal(await weightsOf(stack, await loop.report(1, 300_000)), undisturbed);
    assert.equal((await stack.goto3.store.refs.read(refNames.cycles(loop.name)))?.entry, 1);
    await story.end({ note: 'the commands are apply and retry' });
  });

  it('resets a cycle in the middle of its training: it goes on with what there is', async () => {
    const undisturbed = await undisturbedWeights(stack);
    const story = new Story(stack, 'a cycle is reset in the Web UI, mid-training');
    const loop = await inTraining(stack, 'ui-reset');
    const workflowId = workflowIds.cycle(loop.name, 1);
    const { runId } = await stack.goto3.temporal.workflow.getHandle(workflowId).describe();
    const next = await ui.resetToBeginning(workflowId, runId, 'once more from the beginning');
    assert.notEqual(next, runId);
    story.hasFired(`run ${next} follows run ${runId}`);
    const report = await loop.report(1, 300_000);
    story.goesOn();
    assert.equal(await weightsOf(stack, report), undisturbed);
    await eventually('the loop rests', async () => (await stack.goto3.loop(loop.name).status()).state === 'idle');
    const { refs } = stack.goto3.store;
    for (const ref of [refNames.cycles, refNames.dataset, refNames.versions, refNames.reports])
      assert.equal((await refs.read(ref(loop.name)))?.entry, 1, ref(loop.name));
    const attempts = (await loop.starts()).map(({ job }) => job);
    await story.end({ note: `attempts of the training: ${attempts.length}` });
  });
});
