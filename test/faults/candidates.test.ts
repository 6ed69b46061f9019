import assert from 'node:assert/strict';
import type { ReplicaStatus } from '../../src/contracts/endpoint.ts';
import type { CycleReport } from '../../src/contracts/manifests.ts';
import { getManifest } from '../../src/store/manifests.ts';
import { healthyBelow, type Sickness } from '../serving/sick-models.ts';
import { LoopUnderFault } from './harness/loop.ts';
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
});

const ofWhom = (candidate: { failed: number; asked: number }, current: { failed: number; asked: number }): string =>
  `the candidate failed ${candidate.failed} of ${candidate.asked} requests, the healthy version ${current.failed} of ${current.asked}`;
