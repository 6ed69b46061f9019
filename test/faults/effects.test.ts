import assert from 'node:assert/strict';
import { refNames, workflowIds } from '../../src/contracts/names.ts';
import { jobFolderOf } from '../../src/jobs/local/job-folder.ts';
import { eventually } from '../temporal.ts';
import { ArmedFault, type FaultPoint } from './harness/armed-fault.ts';
import { firstCompletionAfter } from './harness/completions.ts';
import { LoopUnderFault } from './harness/loop.ts';
import { servedLoop, sharedStack } from './harness/shared-stack.ts';
import type { StackUnderFault } from './harness/stack.ts';
import { Story } from './harness/story.ts';
import { Traffic } from './harness/traffic.ts';

/** The log of a ref, as its files' paths begin. */
const logOf = (ref: string): string => `/refs/${ref}/@log/`;

interface Point {
  /** The worker dies … */
  says: string;
  point: (loop: string, jobsFolder: string) => FaultPoint;
  /** Refs that must have grown by one entry all the same. */
  once?: (loop: string) => string[];
}

const onLink = (process: string, when: 'before' | 'after', ref: (loop: string) => string): Point['point'] => {
  return (loop) => ({ process, call: 'link', when, path: logOf(ref(loop)) });
};
const jobFolder = (loop: string, jobs: string): string => jobFolderOf(jobs, `${loop}/1/train/1`).path;

/** Every effect outside a worker that a cycle has, and the instant between the effect and its record in a history. */
const points: Record<string, Point> = {
  'opens-before': {
    says: 'before the next cycle number is taken',
    point: onLink('worker-control', 'before', refNames.cycles),
    once: (loop) => [refNames.cycles(loop)],
  },
  'opens-after': {
    says: 'after the cycle number was taken, before anybody knows it',
    point: onLink('worker-control', 'after', refNames.cycles),
    once: (loop) => [refNames.cycles(loop)],
  },
  'puts-before': {
    says: 'before a blob gets its name',
    point: () => ({ process: 'worker-cpu', call: 'link', when: 'before', path: '/store/blobs/' }),
  },
  'puts-after': {
    says: 'after a blob got its name, before anybody knows it',
    point: () => ({ process: 'worker-cpu', call: 'link', when: 'after', path: '/store/blobs/' }),
  },
  'pins-after': {
    says: 'after the first pin of a cycle',
    point: onLink('worker-cpu', 'after', (loop) => refNames.pin(loop, 1)),
  },
  'accepts-before': {
    says: 'before the dataset ref moves',
    point: onLink('worker-cpu', 'before', refNames.dataset),
    once: (loop) => [refNames.dataset(loop)],
  },
  'accepts-after': {
    says: 'after the dataset ref has moved',
    point: onLink('worker-cpu', 'after', refNames.dataset),
    once: (loop) => [refNames.dataset(loop)],
  },
  'submits-recorded': {
    says: 'after a job was recorded, before anything runs',
    point: (loop, jobs) => ({
      ...{ process: 'worker-gpu', call: 'link', when: 'after' },
      path: `${jobFolder(loop, jobs)}/job.json`,
    }),
  },
  'submits-spawned': {
    says: 'after the wrapper was started, before it knows its job',
    point: (loop, jobs) => ({ process: 'worker-gpu', call: 'wrapper', when: 'spawned', path: jobFolder(loop, jobs) }),
  },
  'submits-claimed': {
    says: 'after the job was claimed and runs, before anybody knows it',
    point: (loop, jobs) => ({ process: 'worker-gpu', call: 'wrapper', when: 'claimed', path: jobFolder(loop, jobs) }),
  },
  'versions-after': {
    says: 'after a version was registered',
    point: onLink('worker-control', 'after', refNames.versions),
    once: (loop) => [refNames.versions(loop)],
  },
  'crowns-after': {
    says: 'after the champion ref has moved',
    point: onLink('worker-control', 'after', refNames.champion),
    once: (loop) => [refNames.champion(loop)],
  },
  'reports-after': {
    says: 'after the report was written, before the cycle ends',
    point: onLink('worker-control', 'after', refNames.reports),
    once: (loop) => [refNames.reports(loop)],
  },
};

async function inTurn(begins: readonly (() => Promise<void>)[]): Promise<void> {
  for (const begin of begins) await begin();
}

describe('kill -9 between an effect and its record', function () {
  // Faults of one worker come one after the other, and it starts anew between them.
  this.timeout(480_000);
  let stack: StackUnderFault;
  let mail: LoopUnderFault;
  let traffic: Traffic;
  const armed = new Map<string, { fault: ArmedFault; loop: LoopUnderFault; story: Story }>();
  /** The rollout of the loop `mail` meets both. */
  const rollout: { fault: ArmedFault; story: Story }[] = [];

  // All in one stack: what a dead worker held is given up after a time-out, and the time-outs pass together. One after
  // the other for each worker: a second fault that kills it may do so a moment before this one's call, which then never
  // comes again (a claim is made once).
  before(async () => {
    stack = await sharedStack();
    mail = await servedLoop();
    const workers = new Map<string, (() => Promise<void>)[]>();
    for (const [name, { says, point: of }] of Object.entries(points)) {
      const loop = await LoopUnderFault.write(stack, name);
      const point = of(name, stack.layout.jobs);
      const fault = ArmedFault.arm(stack.home, name, point);
      armed.set(name, { fault, loop, story: new Story(stack, `worker dies ${says}`) });
      const begin = async () => {
        await loop.apply();
        await fault.hasFired(120_000);
      };
      workers.set(point.process, [...(workers.get(point.process) ?? []), begin]);
    }
    for (const [says, ref] of [
      ['after the weights were set, before anybody knows it', refNames.desired('mail')],
      ['after a rollout was recorded', refNames.deployments('mail')],
    ] as const) {
      const point = onLink('worker-control', 'after', () => ref)('mail', '');
      const fault = ArmedFault.arm(stack.home, ref.replaceAll('/', '-'), point);
      rollout.push({ fault, story: new Story(stack, `worker dies ${says}`) });
    }
    traffic = new Traffic(stack, 'mail', 1);
    await Promise.all([...workers.values()].map(inTurn));
    await mail.deliver(200);
    for (const { fault } of rollout) await fault.hasFired(120_000);
  });
  after(() => traffic?.stop());

  /** Waits for the fault, then for the first activity of these workflows that is completed after it. */
  async function goesOn(fault: ArmedFault, story: Story, workflows: readonly string[]): Promise<void> {
    const { pid, atMs, path } = await fault.hasFired(120_000);
    story.hasFired(`process ${pid} killed itself at ${path.slice(stack.home.length)}`, atMs);
    const next = () => firstCompletionAfter(stack.goto3.temporal, workflows, atMs);
    story.goesOn(await eventually('an activity is completed', next, 90_000));
  }

  for (const [name, { says, once }] of Object.entries(points))
    it(`dies ${says}`, async () => {
      const { fault, loop, story } = armed.get(name)!;
      await goesOn(fault, story, [
        workflowIds.loop(name),
        workflowIds.cycle(name, 1),
        workflowIds.job(`${name}/1/train`),
      ]);
      const report = await loop.report(1, 180_000);
      assert.equal(report.outcome, 'approved', report.detail);
      for (const ref of once?.(name) ?? []) assert.equal((await stack.goto3.store.refs.read(ref))?.entry, 1, ref);
      await story.end();
    });

  it('dies after the weights were set, then after the rollout was recorded: no version is rolled out twice', async () => {
    const report = await mail.report(2, 200_000);
    assert.equal(report.outcome, 'deployed', report.detail);
    for (const { fault, story } of rollout) await goesOn(fault, story, [workflowIds.endpoint('mail')]);
    await traffic.stop();
    assert.deepEqual(traffic.failedSince(0), []);
    for (const ref of [refNames.deployments('mail'), refNames.champion('mail')])
      assert.equal((await stack.goto3.store.refs.read(ref))?.entry, 2, ref);
    for (const { story } of rollout)
      await story.end({ note: `${traffic.requests.length} requests meanwhile, none failed` });
  });
});
