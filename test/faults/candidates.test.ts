import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { ReplicaStatus } from '../../src/contracts/endpoint.ts';
import { inferenceHeaders } from '../../src/contracts/endpoint.ts';
import type { CycleReport } from '../../src/contracts/manifests.ts';
import { getManifest } from '../../src/store/manifests.ts';
import { invoke } from '../serving/client.ts';
import { healthyBelow, type Sickness } from '../serving/sick-models.ts';
import { eventually } from '../temporal.ts';
import { LoopUnderFault } from './harness/loop.ts';
import { pointRows } from './harness/rows.ts';
import { sharedStack } from './harness/shared-stack.ts';
import type { StackUnderFault } from './harness/stack.ts';
import { Story } from './harness/story.ts';
import { Traffic } from './harness/traffic.ts';

const endpoint = 'ward';

/** Every third request is one that no hold-out has seen. */
const withUnseenRows = (request: number, caller: number) => ({
  x: request % 3 === 0 ? healthyBelow + 10 : (request % 7) - 3,
  y: (caller % 3) - 1,
});

describe('a candidate that passed its gate and', function () {
  this.timeout(400_000);
  let stack: StackUnderFault;
  let loop: LoopUnderFault;
  let traffic: Traffic;
  let cycle = 1;

  const status = () => stack.goto3.endpoint(endpoint).status();
  const replica = async (): Promise<ReplicaStatus> =>
    (await (await fetch(`${stack.endpointUrl(endpoint)}/goto3/status`)).json()) as ReplicaStatus;

  before(async () => {
    stack = await sharedStack();
    const rollbackOn = { errorRate: '+5pt', latencyP99: '+400%' };
    const each = { atLeast: '200 requests', atMost: '5m', onTimeout: 'rollback' } as const;
    const probation = { for: '90d', rollbackOn: { accuracy: '-3pt' } };
    loop = await LoopUnderFault.write(stack, 'ward', {
      trainer: { kind: 'sick' },
      endpoint,
      // A p99 of fewer requests says nothing.
      rollout: { canary: ['25%'], each, rollbackOn, probation },
      // One sick version after the other is what is tried here.
      limits: { pauseAfterFailures: 100 },
    });
    await loop.apply();
    const { outcome, detail } = await loop.report(1);
    assert.equal(outcome, 'deployed', detail);
  });

  beforeEach(() => {
    traffic = new Traffic(stack, endpoint, 6);
  });
  afterEach(async () => {
    await traffic.stop();
    const { frozen } = await status();
    const word = { requestId: `after cycle ${cycle}`, reason: 'the next fault' };
    if (frozen) await stack.goto3.endpoint(endpoint).unfreeze(word);
  });

  /** Trains a version that suffers from something, up to the end of its rollout. */
  async function rollOut(how: Sickness | undefined): Promise<CycleReport> {
    await beginRollOut(how);
    return await loop.report(cycle, 300_000);
  }

  async function beginRollOut(how: Sickness | undefined): Promise<void> {
    await loop.sicken(how);
    cycle += 1;
    await loop.deliver(100);
  }

  async function isBarred(report: CycleReport): Promise<void> {
    const { barred, frozen, current } = await status();
    assert.ok(barred.includes(report.candidate!), 'its digest is barred');
    assert.ok(frozen, 'the endpoint is frozen until somebody looks');
    assert.notEqual(current?.model, report.candidate);
  }

  /** Nobody waits for what happens after a promotion: the endpoint says it itself. */
  async function isRolledBack({ candidate }: CycleReport, withinMs: number): Promise<void> {
    const isOver = async (): Promise<boolean> => {
      const { last } = await status();
      return last?.model === candidate && last?.outcome === 'rolledBack';
    };
    await eventually('it is rolled back', isOver, withinMs);
  }

  /** When the endpoint was told to serve something else for the last time. */
  async function toldAtMs(): Promise<number> {
    const ref = await stack.goto3.store.refs.read(`endpoints/${endpoint}/desired`);
    return Date.parse(ref!.time);
  }

  const inCanary: [how: Sickness, says: string, reason: RegExp][] = [
    ['fails', 'answers 500', /requests failed on the candidate/],
    ['answersNaN', 'answers NaN', /requests failed on the candidate/],
    ['isSlow', 'is slow', /p99 latency/],
    ['dies', 'kills its process at 25 %', /requests failed on the candidate/],
  ];
  for (const [how, says, reason] of inCanary)
    it(`${says} is rolled back at 25 %, barred, and the healthy version fails no request`, async () => {
      const story = new Story(stack, `a candidate that ${says}`);
      traffic.rowOf = withUnseenRows;
      const crashes = (await replica()).inference.crashes;
      const report = await rollOut(how);
      assert.equal(report.outcome, 'rolledBack', report.detail);
      const deployment = await getManifest(stack.goto3.store, report.deployment!, 'Deployment');
      assert.match(deployment.reason, reason);
      const [step] = deployment.steps;
      story.hasFired(`${deployment.reason}`, Date.parse(step!.startedAt));
      story.goesOn(await toldAtMs());
      assert.equal((await replica()).inference.crashes > crashes, how === 'dies');
      await isBarred(report);
      await traffic.stop();
      const [candidate, current] = [traffic.of('candidate'), traffic.of('current')];
      assert.equal(current.failed, 0, `the healthy version failed ${current.failed} of ${current.asked}`);
      assert.ok(how === 'isSlow' || candidate.failed > 0, 'the fault has fired');
      await story.end({ note: ofWhom(candidate, current) });
    });

  it('follows a champion that dies during its canary is not blamed for it', async () => {
    const story = new Story(stack, 'the champion dies during a canary');
    const sick = await rollOut('dies');
    assert.equal(sick.outcome, 'deployed', sick.detail);
    const { crashes } = (await replica()).inference;
    await beginRollOut(undefined);
    await eventually('the canary has begun', async () => (await status()).candidate !== null, 120_000);
    const url = stack.endpointUrl(endpoint);
    let deadly = 0;
    const killer = async (): Promise<boolean> => {
      const { status: code, headers } = await invoke({ url }, { x: healthyBelow + 10, y: 0 });
      if (code === 200) return false;
      assert.equal(headers[inferenceHeaders.invokedVariant], 'current');
      deadly += 1;
      return deadly === 2;
    };
    await eventually('two deadly requests have met the champion', killer, 60_000);
    assert.ok((await replica()).inference.crashes > crashes, 'the champion has died');
    story.hasFired(`${deadly} requests have killed it`);
    const report = await loop.report(cycle, 300_000);
    assert.equal(report.outcome, 'deployed', report.detail);
    story.goesOn(await toldAtMs());
    assert.ok(!(await status()).barred.includes(report.candidate!));
    await traffic.stop();
    const [candidate, champion] = [traffic.of('candidate'), traffic.of('current')];
    assert.equal(candidate.failed, 0, 'the candidate answered all of its own meanwhile');
    const waited = `the champion failed ${champion.failed} of ${champion.asked} beside the deadly ones`;
    await story.end({ note: `the candidate failed 0 of ${candidate.asked} requests, ${waited}` });
  });

  it('dies after its promotion is rolled back by its probation', async () => {
    const story = new Story(stack, 'a version that kills its process after its promotion');
    const report = await rollOut('dies');
    assert.equal(report.outcome, 'deployed', report.detail);
    assert.ok((await status()).probation, 'it is in probation');
    const { crashes } = (await replica()).inference;
    traffic.rowOf = withUnseenRows;
    story.hasFired('its traffic turns deadly');
    await isRolledBack(report, 120_000);
    const rolledBackAtMs = await toldAtMs();
    story.goesOn(rolledBackAtMs);
    await isBarred(report);
    assert.ok((await replica()).inference.crashes > crashes, 'it has died');
    await eventually(
      'the version before has answered',
      async () => traffic.requests.filter((r) => r.atMs > rolledBackAtMs + 2_000).length > 60,
    );
    await traffic.stop();
    // A replica looks for a new state every 500 ms.
    assert.deepEqual(traffic.failedSince(rolledBackAtMs + 1_000), []);
    const { last } = await status();
    assert.match(last?.reason ?? '', /on the version before on the same traffic/);
    const failed = traffic.failedSince(story.firedAtMs).length;
    await story.end({ note: `${failed} requests failed until then, none after` });
  });

  it('fails while the cpu worker stands still is rolled back all the same', async () => {
    const story = new Story(stack, 'the cpu worker is stopped while a rollback is needed');
    // Without a request a canary waits: its fault comes when the worker stands.
    await traffic.stop();
    await beginRollOut('fails');
    await eventually('the canary has begun', async () => (await status()).candidate !== null, 120_000);
    const { pid } = await stack.signal('worker-cpu', 'SIGSTOP');
    try {
      traffic = new Traffic(stack, endpoint, 6);
      traffic.rowOf = withUnseenRows;
      story.hasFired(`process ${pid} is stopped`);
      const report = await loop.report(cycle, 300_000);
      assert.match(await readFile(`/proc/${pid}/stat`, 'utf8'), /^\d+ \(.*\) T /, 'it stands still until the end');
      assert.equal(report.outcome, 'rolledBack', report.detail);
      story.goesOn(await toldAtMs());
      await isBarred(report);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await traffic.stop();
    await story.end();
  });

  it('leaks memory: its process is replaced before the machine is short of it', async () => {
    const story = new Story(stack, 'a version that leaks 2 GiB');
    const report = await rollOut('leaks');
    assert.equal(report.outcome, 'deployed', report.detail);
    const { replacements, crashes, pid } = (await replica()).inference;
    for (const x of [300, 400, 600, 800])
      assert.equal((await invoke({ url: stack.endpointUrl(endpoint) }, { x, y: 0 })).status, 200);
    const before = await residentBytes(pid!);
    assert.ok(before > 2 ** 30, `the leak has filled ${before} bytes`);
    story.hasFired(`the process takes ${before} bytes`);
    const inference = await eventually('its process is replaced', async () => {
      const now = (await replica()).inference;
      return now.replacements > replacements ? now : undefined;
    });
    story.goesOn();
    assert.equal(inference.crashes, crashes);
    assert.ok((await residentBytes(inference.pid!)) < before / 2, 'memory is given back');
    await traffic.stop();
    assert.deepEqual(traffic.failedSince(0), []);
    await story.end({ note: `${traffic.requests.length} requests meanwhile, none failed` });
  });

  // Last: its rows come into the hold-out, where every later gate sees them.
  it('answers wrongly where no hold-out looks is rolled back when the labels come', async () => {
    const story = new Story(stack, 'a candidate that answers wrongly');
    const report = await rollOut('answersWrongly');
    assert.equal(report.outcome, 'deployed', report.detail);
    const unseen = pointRows(1_000_000, 240)
      .filter(({ kind }) => kind === 'spam')
      .map((row) => ({ ...row, x: healthyBelow + 10 }));
    const url = stack.endpointUrl(endpoint);
    let wrong = 0;
    for (const { id, x, y } of unseen) {
      const { predictions } = await invoke({ url }, { x, y }, { [inferenceHeaders.inferenceId]: id });
      if (predictions[0]!.label === 'ham') wrong += 1;
    }
    assert.equal(wrong, unseen.length);
    story.hasFired(`${wrong} wrong answers`);
    await loop.sicken(undefined);
    await loop.append(unseen);
    cycle += 1;
    await stack.goto3.loop('ward').newData(unseen.length);
    await isRolledBack(report, 180_000);
    story.goesOn(await toldAtMs());
    await isBarred(report);
    assert.match((await status()).last?.reason ?? '', /Live accuracy differs by -/);
    await loop.report(cycle, 300_000);
    await traffic.stop();
    assert.deepEqual(traffic.failedSince(0), []);
    await story.end({ note: 'found by delayed labels: the seconds are those of the cycle that brings them' });
  });
});

const ofWhom = (candidate: { failed: number; asked: number }, current: { failed: number; asked: number }): string =>
  `the candidate failed ${candidate.failed} of ${candidate.asked} requests, the healthy version ${current.failed} of ${current.asked}`;

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1_024;
}
