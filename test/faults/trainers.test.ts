import assert from 'node:assert/strict';
import { copyFile, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readProcesses } from '../../src/jobs/local/processes.ts';
import { eventually } from '../temporal.ts';
import { LoopUnderFault, type Trainer } from './harness/loop.ts';
import { sharedStack } from './harness/shared-stack.ts';
import type { StackUnderFault } from './harness/stack.ts';
import { Story } from './harness/story.ts';
import { exitOf, inTraining, jobOf, undisturbedWeights, weightsOf } from './harness/training.ts';
import { WebhookReceiver } from './harness/webhook.ts';

/** What the runner keeps of each stream, beginning and end (src/jobs/local/capped-log.ts). */
const logCapBytes = 17 * 2 ** 20;

describe('trainers that go wrong', function () {
  this.timeout(180_000);
  let stack: StackUnderFault;
  let webhook: WebhookReceiver;
  const loops = new Map<string, { loop: LoopUnderFault; story: Story }>();
  const trainers: Record<string, { fault: string; trainer: Trainer }> = {
    hangs: {
      fault: 'a trainer hangs while its process lives and talks',
      trainer: { kind: 'misbehaving', how: 'hang', progressTimeout: '2s' },
    },
    floods: { fault: 'a trainer floods stdout with 64 MiB', trainer: { kind: 'misbehaving', how: 'flood' } },
    forks: { fault: 'a trainer forks, leaves, and succeeds', trainer: { kind: 'misbehaving', how: 'fork' } },
    forgets: { fault: 'a trainer exits 0 without a model', trainer: { kind: 'misbehaving', how: 'noModel' } },
    diverges: { fault: 'a training whose loss is NaN', trainer: { kind: 'misbehaving', how: 'nanLoss' } },
  };

  before(async () => {
    stack = await sharedStack();
    webhook = await WebhookReceiver.open();
    await writeFile(join(stack.home, 'secrets', 'webhook'), webhook.url);
    for (const [name, { fault, trainer }] of Object.entries(trainers)) {
      const story = new Story(stack, fault);
      const loop = await LoopUnderFault.write(stack, name, { trainer, webhook: true });
      await loop.apply();
      loops.set(name, { loop, story });
    }
  });
  after(() => webhook?.close());

  const parked = async (loop: LoopUnderFault): Promise<string> =>
    await eventually(
      `${loop.name}/1 is parked`,
      async () => {
        const { stage, command } = await stack.goto3.cycle(`${loop.name}/1`).status();
        return stage === 'parked' && command !== null && command;
      },
      60_000,
    );

  /** Repairs the program and types what the parked cycle asks for. */
  async function repair(loop: LoopUnderFault, story: Story): Promise<void> {
    const command = await parked(loop);
    assert.match(command, new RegExp(`goto3 cycle retry ${loop.name}/1`));
    await eventually('whoever is on call was told', async () =>
      webhook.receipts.some((receipt) => receipt.loop === loop.name && receipt.command.includes('cycle retry')),
    );
    await writeFile(join(loop.folder, 'repaired'), '');
    await story.type('cycle', 'retry', `${loop.name}/1`, '--reason', 'the program was repaired');
  }

  it('one that hangs is stopped by its progress, tried once more, then parked', async () => {
    const { loop, story } = loops.get('hangs')!;
    const exit = await exitOf(stack, loop);
    assert.deepEqual([exit.state, exit.failureClass], ['failed', 'stalled']);
    story.hasFired(`exit.json: ${exit.reason}`, Date.parse(exit.endedAt));
    await repair(loop, story);
    const report = await loop.report(1);
    story.goesOn((await loop.trains(3)).atMs);
    assert.equal(report.outcome, 'approved', report.detail);
    assert.deepEqual(
      (await loop.starts()).map(({ job }) => job),
      [1, 2, 3].map((attempt) => `hangs/1/train/${attempt}`),
    );
    await story.end({ note: 'parked after the second try; the command is the retry after a repair' });
  });

  it('one that floods stdout trains, and its log is cut', async () => {
    const { loop, story } = loops.get('floods')!;
    const report = await loop.report(1);
    assert.equal(report.outcome, 'approved', report.detail);
    const { size } = await stat(jobOf(stack, loop).stdout);
    assert.ok(size > 2 ** 20 && size <= logCapBytes, `${size} bytes of log`);
    story.hasFired(`64 MiB were written, ${size} bytes kept`);
    story.goesOn();
    await story.end();
  });

  it('one that leaves a process behind leaves none', async () => {
    const { loop, story } = loops.get('forks')!;
    const report = await loop.report(1);
    assert.equal(report.outcome, 'approved', report.detail);
    const ofItsFolder = readProcesses().filter(({ pid, zombie }) => !zombie && stack.processesLeft().includes(pid));
    const left = [];
    for (const { pid } of ofItsFolder)
      if ((await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')).includes('forks/1/train')) left.push(pid);
    assert.deepEqual(left, []);
    story.hasFired(`its program ran: ${(await loop.starts())[0]!.job}`);
    story.goesOn();
    await story.end();
  });

  it('one that leaves no model is not tried again by itself', async () => {
    const { loop, story } = loops.get('forgets')!;
    const exit = await exitOf(stack, loop);
    assert.deepEqual([exit.state, exit.failureClass, exit.exitCode], ['failed', 'userError', 0]);
    story.hasFired(`exit.json: ${exit.reason}`, Date.parse(exit.endedAt));
    await repair(loop, story);
    story.goesOn((await loop.trains(2)).atMs);
    const report = await loop.report(1);
    assert.equal(report.outcome, 'approved', report.detail);
    await story.end({ note: 'parked; the command is the retry after a repair' });
  });

  it('one that diverges fails the gate, and the champion stays', async () => {
    const { loop, story } = loops.get('diverges')!;
    const exit = await exitOf(stack, loop);
    assert.deepEqual([exit.state, exit.failureClass], ['failed', 'diverged']);
    story.hasFired(`exit.json: ${exit.reason}`, Date.parse(exit.endedAt));
    const report = await loop.report(1);
    story.goesOn(Date.parse(report.endedAt));
    assert.deepEqual([report.outcome, report.failureClass], ['failedGate', 'diverged']);
    assert.equal((await loop.starts()).length, 1);
    await story.end();
  });
});

describe('damaged checkpoints', function () {
  this.timeout(180_000);

  /** What happens to the checkpoints of a stopped trainer, oldest first. */
  const damages: Record<string, { fault: string; damage: (files: string[], foreign: string) => Promise<void> }> = {
    truncated: {
      fault: 'the newest checkpoint is truncated',
      damage: async (files) => await truncate(files.at(-1)!, 1_000),
    },
    flipped: {
      fault: 'one bit of the newest checkpoint is flipped',
      damage: async (files) => {
        const bytes = await readFile(files.at(-1)!);
        bytes[bytes.length >> 1]! ^= 1;
        await writeFile(files.at(-1)!, bytes);
      },
    },
    foreign: {
      fault: 'every checkpoint is one of another training',
      damage: async (files, foreign) => {
        for (const file of files) await copyFile(foreign, file);
      },
    },
    older: { fault: 'only the older checkpoint is left', damage: async (files) => await rm(files.at(-1)!) },
  };

  let stack: StackUnderFault;
  const running = new Map<string, Promise<void>>();

  const checkpointsOf = async (folder: string): Promise<string[]> =>
    (await readdir(folder))
      .filter((file) => file.endsWith('.checkpoint'))
      .sort()
      .map((file) => join(folder, file));

  /** Stops a trainer, damages what it has saved, kills it, and looks at what the next attempt makes of it. */
  async function damageAndResume(name: string, undisturbed: string, foreign: string): Promise<void> {
    const { fault, damage } = damages[name]!;
    const story = new Story(stack, fault);
    const loop = await inTraining(stack, `checkpoint-${name}`);
    const { checkpoints } = jobOf(stack, loop).container;
    await eventually('there are two checkpoints', async () => (await checkpointsOf(checkpoints)).length === 2);
    const { pid } = await loop.trains();
    // Stopped, it saves no further one while this one is damaged.
    process.kill(pid, 'SIGSTOP');
    await damage(await checkpointsOf(checkpoints), foreign);
    process.kill(pid, 'SIGKILL');
    const exit = await exitOf(stack, loop);
    assert.equal(exit.failureClass, 'infrastructure');
    story.hasFired(`${fault}, then its trainer was killed`, Date.parse(exit.endedAt));
    const second = await loop.trains(2);
    story.goesOn(second.atMs);
    assert.equal(await weightsOf(stack, await loop.report(1)), undisturbed);
    const log = await readFile(jobOf(stack, loop, 2).stderr, 'utf8');
    assert.equal(log.includes('checkpointIgnored'), name !== 'older');
    assert.equal(log.includes('"resumed"'), name !== 'foreign');
    await story.end();
  }

  before(async () => {
    stack = await sharedStack();
    const undisturbed = await undisturbedWeights(stack);
    const other = await LoopUnderFault.write(stack, 'other-training', { trainer: { kind: 'resumable', epochs: 2 } });
    await other.apply();
    await other.report(1);
    const [foreign] = await checkpointsOf(jobOf(stack, other).container.checkpoints);
    for (const name of Object.keys(damages)) {
      const run = damageAndResume(name, undisturbed, foreign!);
      // Its test reports it.
      run.catch(() => undefined);
      running.set(name, run);
    }
  });

  for (const [name, { fault }] of Object.entries(damages))
    it(`${fault}: the weights are those of an undisturbed run`, () => running.get(name));
});
