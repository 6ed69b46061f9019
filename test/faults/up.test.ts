import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { refNames, workflowIds } from '../../src/contracts/names.ts';
import { readTable } from '../../src/stack/process-table.ts';
import { eventually } from '../temporal.ts';
import { collectEvidence } from './checker/collect.ts';
import { LoopUnderFault } from './harness/loop.ts';
import { StackUnderFault } from './harness/stack.ts';
import { Story } from './harness/story.ts';
import { Traffic } from './harness/traffic.ts';
import { exitOf, inTraining, undisturbedWeights, weightsOf } from './harness/training.ts';

describe('the stack itself', function () {
  this.timeout(240_000);
  let stack: StackUnderFault;
  let mail: LoopUnderFault;
  let undisturbed: string;

  before(async () => {
    stack = await StackUnderFault.create(['mail']);
    await stack.start();
    mail = await LoopUnderFault.write(stack, 'mail', { endpoint: 'mail' });
    await mail.apply();
    assert.equal((await mail.report(1)).outcome, 'deployed');
    undisturbed = await undisturbedWeights(stack);
  });
  after(() => stack?.destroy());

  const children = (): string[] =>
    readTable(stack.layout.run).map(({ name, process: running }) => `${name} ${running?.pid} ${running?.startTime}`);

  it('kill -9 of `up`: its children serve and train on, the next `up` takes them over', async () => {
    const story = new Story(stack, 'kill -9 of `up`');
    const traffic = new Traffic(stack, 'mail', 1);
    try {
      const before = children();
      const loop = await inTraining(stack, 'up-killed');
      assert.equal(await stack.endUp('SIGKILL'), null);
      story.hasFired('`up` ended by SIGKILL');
      assert.equal(await weightsOf(stack, await loop.report(1)), undisturbed);
      assert.deepEqual(children(), before);
      story.typed();
      await stack.start();
      story.goesOn();
      assert.deepEqual(children(), before, 'the same processes');
    } finally {
      await traffic.stop();
    }
    assert.deepEqual(traffic.failedSince(0), []);
    await story.end({ note: `the cycle ended and ${traffic.requests.length} requests were answered without it` });
  });

  it('the Temporal database is deleted in the middle of a cycle: `apply` goes on from the store', async () => {
    const story = new Story(stack, 'the Temporal database is deleted mid-cycle');
    const loop = await inTraining(stack, 'database-deleted');
    const { store } = stack.goto3;
    stack.pastHistories.push(...(await collectEvidence(stack)).histories);
    const champion = await store.refs.read(refNames.champion('mail'));
    for (const suffix of ['', '-wal', '-shm']) await rm(`${stack.layout.database}${suffix}`, { force: true });
    const killed = await stack.signal('temporal', 'SIGKILL');
    await stack.replaced('temporal', killed);
    const { temporal } = stack.goto3;
    const describe = () => temporal.workflow.getHandle(workflowIds.loop('mail')).describe();
    await assert.rejects(eventually('nothing is left', describe, 2_000), /not found/i);
    story.hasFired('the new server knows no workflow');
    story.typed();
    await loop.apply();
    story.typed();
    await mail.apply();
    await eventually('the endpoint takes words again, and knows what it serves', async () => {
      const { current } = await stack.goto3.endpoint('mail').status();
      return current?.model === champion?.digest;
    });
    await eventually('the loop has its cycle', async () => {
      const { running } = await stack.goto3.loop(loop.name).status();
      return running?.n === 1;
    });
    story.goesOn();
    assert.equal(await weightsOf(stack, await loop.report(1)), undisturbed);
    assert.deepEqual(
      (await loop.starts()).map(({ job }) => job),
      ['database-deleted/1/train/1'],
    );
    assert.equal((await store.refs.read(refNames.cycles(loop.name)))?.entry, 1);
    assert.deepEqual(await store.refs.read(refNames.champion('mail')), champion);
    await story.end({ note: 'one apply a loop' });
  });

  it('SIGTERM of `up` stops everything; the next `up` goes on with the job', async () => {
    const story = new Story(stack, 'SIGTERM of `up`, mid-training');
    const loop = await inTraining(stack, 'up-asked');
    assert.equal(await stack.endUp('SIGTERM'), 0);
    story.hasFired('`up` exited with 0');
    assert.deepEqual(stack.processesLeft(), []);
    const exit = await exitOf(stack, loop);
    assert.deepEqual([exit.state, exit.failureClass], ['failed', 'preempted']);
    story.typed();
    await stack.start();
    const second = await loop.trains(2);
    story.goesOn(second.atMs);
    assert.ok(second.checkpoints > 0, 'it resumed');
    assert.equal(await weightsOf(stack, await loop.report(1)), undisturbed);
    await story.end();
  });
});
