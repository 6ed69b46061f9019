import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { eventually } from '../temporal.ts';
import type { LoopUnderFault } from './harness/loop.ts';
import { servedLoop, sharedStack } from './harness/shared-stack.ts';
import type { StackUnderFault } from './harness/stack.ts';
import { Story } from './harness/story.ts';
import { Traffic } from './harness/traffic.ts';
import { exitOf, inTraining, jobOf, undisturbedWeights, weightsOf } from './harness/training.ts';

const workers = ['worker-control', 'worker-cpu', 'worker-gpu', 'worker-hpc'];

describe('kill -9', function () {
  this.timeout(180_000);
  let stack: StackUnderFault;
  /** SHA-256 of the weights that nobody disturbed. */
  let undisturbed: string;

  const pidIn = async (file: string): Promise<number> =>
    (JSON.parse(await readFile(file, 'utf8')) as { pid: number }).pid;

  const attemptsOf = async (loop: LoopUnderFault): Promise<string[]> => (await loop.starts()).map(({ job }) => job);

  before(async () => {
    stack = await sharedStack();
    await servedLoop();
    undisturbed = await undisturbedWeights(stack);
  });

  it('of the gpu worker in the middle of a training: the training goes on', async () => {
    const story = new Story(stack, 'kill -9 of the gpu worker, mid-training');
    const loop = await inTraining(stack, 'gpu-killed');
    const killed = await stack.signal('worker-gpu', 'SIGKILL');
    story.hasFired(`process ${killed.pid} is gone`);
    await stack.replaced('worker-gpu', killed);
    story.goesOn();
    assert.equal(await weightsOf(stack, await loop.report(1)), undisturbed);
    assert.deepEqual(await attemptsOf(loop), ['gpu-killed/1/train/1']);
    await story.end({ note: 'the training itself never stopped' });
  });

  it('of every worker at once', async () => {
    const story = new Story(stack, 'kill -9 of every worker at once, mid-training');
    const loop = await inTraining(stack, 'all-killed');
    const killed = await Promise.all(workers.map((name) => stack.signal(name, 'SIGKILL')));
    story.hasFired(`processes ${killed.map(({ pid }) => pid).join(', ')} are gone`);
    await Promise.all(workers.map((name, i) => stack.replaced(name, killed[i]!)));
    story.goesOn();
    assert.equal(await weightsOf(stack, await loop.report(1)), undisturbed);
    assert.deepEqual(await attemptsOf(loop), ['all-killed/1/train/1']);
    await story.end({ note: 'the training itself never stopped' });
  });

  it('of the Temporal server in the middle of a cycle: what it had acknowledged holds', async () => {
    const story = new Story(stack, 'kill -9 of the Temporal server, mid-cycle');
    const loop = await inTraining(stack, 'server-killed');
    const asked = await stack.goto3.loop(loop.name).retrain({ requestId: 'before the kill', reason: 'test' });
    stack.log.commands.push({ kind: 'retrain', loop: loop.name, cycle: Number(asked.cycle.split('/')[1]) });
    const killed = await stack.signal('temporal', 'SIGKILL');
    story.hasFired(`process ${killed.pid} is gone`);
    await stack.replaced('temporal', killed);
    story.goesOn();
    assert.equal(await weightsOf(stack, await loop.report(1)), undisturbed);
    assert.equal(asked.cycle, 'server-killed/2');
    assert.equal((await loop.report(2)).cycle, 2);
    assert.deepEqual(await attemptsOf(loop), ['server-killed/1/train/1', 'server-killed/2/train/1']);
    await story.end();
  });

  it('of the endpoint under load', async () => {
    const story = new Story(stack, 'kill -9 of the endpoint under load');
    const traffic = new Traffic(stack, 'mail');
    try {
      await eventually('there is traffic', async () => traffic.requests.length > 50);
      assert.deepEqual(traffic.failedSince(0), []);
      const killed = await stack.signal('endpoint-mail', 'SIGKILL');
      story.hasFired(`process ${killed.pid} is gone`);
      await stack.replaced('endpoint-mail', killed);
      const again = await eventually('it answers again', async () =>
        traffic.requests.find(({ atMs, status }) => atMs > story.firedAtMs && status === 200),
      );
      story.goesOn(again.atMs);
      const goodFrom = Date.now();
      await eventually(
        'it goes on answering',
        async () => traffic.requests.filter((r) => r.atMs >= goodFrom).length > 50,
      );
      assert.deepEqual(traffic.failedSince(goodFrom), []);
    } finally {
      await traffic.stop();
    }
    const failed = traffic.failedSince(0).length;
    await story.end({ note: `one replica: ${failed} requests of two impatient callers failed while it started` });
  });

  it('of the training process: the next attempt resumes from its checkpoint', async () => {
    const story = new Story(stack, 'kill -9 of the training process');
    const loop = await inTraining(stack, 'trainer-killed');
    const { pid } = await loop.trains();
    process.kill(pid, 'SIGKILL');
    const exit = await exitOf(stack, loop);
    assert.deepEqual([exit.state, exit.signal, exit.failureClass], ['failed', 'SIGKILL', 'infrastructure']);
    story.hasFired(`exit.json: killed by ${exit.signal}`, Date.parse(exit.endedAt));
    const second = await loop.trains(2);
    story.goesOn(second.atMs);
    assert.ok(second.checkpoints > 0, 'it started with a checkpoint');
    assert.equal(await weightsOf(stack, await loop.report(1)), undisturbed);
    assert.deepEqual(await attemptsOf(loop), ['trainer-killed/1/train/1', 'trainer-killed/1/train/2']);
    await story.end();
  });

  it("of the job's wrapper: its program dies with it, and the next attempt resumes", async () => {
    const story = new Story(stack, "kill -9 of the job's wrapper");
    const loop = await inTraining(stack, 'wrapper-killed');
    const [wrapper, { pid: program }] = [await pidIn(`${jobOf(stack, loop).path}/claim-1.json`), await loop.trains()];
    process.kill(wrapper, 'SIGKILL');
    const exit = await exitOf(stack, loop);
    assert.match(exit.reason ?? '', /wrapper .* was killed/);
    story.hasFired(`exit.json: ${exit.reason}`, Date.parse(exit.endedAt));
    assert.ok(!stack.processesLeft().includes(program), 'the program is gone too');
    story.goesOn((await loop.trains(2)).atMs);
    assert.equal(await weightsOf(stack, await loop.report(1)), undisturbed);
    await story.end();
  });
});
