import assert from 'node:assert/strict';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { createRegistryActivities } from '../../../src/activities/registry.ts';
import type { Registration } from '../../../src/contracts/manifests.ts';
import type { Registrable } from '../../../src/contracts/messages.ts';
import { refNames, taskQueues, workflowIds } from '../../../src/contracts/names.ts';
import { getManifest } from '../../../src/store/manifests.ts';
import { retrainCycle } from '../../../src/workflows/index.ts';
import { approveUpdate } from '../../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers } from '../../temporal.ts';
import { digestOf, Worlds } from '../../workflows/world.ts';
import { putCandidate, type RegistryFixture, setUpRegistry } from './fixture.ts';

describe('a cycle and its mirror in SageMaker, on the double', function () {
  this.timeout(90_000);
  let fixture: RegistryFixture;
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  const worlds = new Worlds();
  let away = false;

  before(async () => {
    fixture = await setUpRegistry();
    env = await startTemporal();
    worlds.client = env.client;
    const nobodyThere = { ...fixture.target, endpoint: 'http://127.0.0.1:9' };
    const [there, gone] = [fixture.open(), fixture.open({ target: nobodyThere, patienceMs: 100 })];
    const open = async () => (away ? gone : there);
    const registry = createRegistryActivities({ store: fixture.store, client: env.client, open });
    workers = await startWorkers(env, { ...worlds.activities(), ...registry });
  });
  after(async () => {
    await workers?.stop();
    await env?.teardown();
    await fixture?.stop();
  });

  const asks = { by: ['ann', 'ml-oncall'], notBy: 'bob', withinMs: 600_000, onTimeout: 'reject' } as const;
  const start = async (name: string, approval: 'auto' | typeof asks) => {
    const registrable = await putCandidate(fixture.store, name);
    const { candidate, verdict } = registrable;
    worlds.of(name).cycle = {
      ...{ registry: 'sagemaker:double', model: name },
      approval: approval === 'auto' ? approval : { ...approval, by: [...approval.by] },
    };
    worlds.of(name).gate = { candidate, verdict };
    const cycle = await env.client.workflow.start(retrainCycle, {
      workflowId: workflowIds.cycle(name, 1),
      taskQueue: taskQueues.control,
      args: [{ loop: name, n: 1, specDigest: digestOf('spec'), reason: 'test', by: 'tester', inconclusiveBefore: 0 }],
    });
    const mirror = env.client.workflow.getHandle(workflowIds.registryMirror(name, 1, candidate.slice(7, 19)));
    return { registrable, cycle, mirror };
  };
  const packageOf = (name: string): { arn: string; status: string; description: string } | undefined => {
    const [arn] = fixture.double.packages.arns.filter((one) => one.includes(`/${name}/`));
    if (arn === undefined) return undefined;
    const found = fixture.double.packages.describe({ ModelPackageName: arn }) as Record<string, string>;
    if (found.ModelPackageStatus !== 'Completed') return undefined;
    return { arn, status: found.ModelApprovalStatus!, description: found.ApprovalDescription ?? '' };
  };
  const appears = async (name: string) => await eventually('its package', async () => packageOf(name));
  const registrationOf = async ({ model, candidate }: Registrable): Promise<Registration> => {
    const ref = await fixture.store.refs.read(refNames.registration(model, candidate.slice(7, 47)));
    return await getManifest(fixture.store, ref!.digest, 'Registration');
  };
  const says = (ModelPackageArn: string, ModelApprovalStatus: 'Approved' | 'Rejected', arn: string): void => {
    const ApprovalDescription = 'looks good';
    fixture.double.packages.update({ ModelPackageArn, ModelApprovalStatus, ApprovalDescription }, { arn });
  };

  it('an approval there by somebody who may reaches the cycle; by another, it is taken back', async () => {
    const { registrable, cycle, mirror } = await start('there', asks);
    const { arn } = await appears('there');
    says(arn, 'Approved', 'arn:aws:iam::123456789012:user/bob');
    const refused = await eventually('it is taken back', async () => {
      const found = packageOf('there');
      return found?.status === 'PendingManualApproval' && found.description !== '' ? found : undefined;
    });
    assert.match(refused.description, /the word of bob does not count: .*not one of the approvers/);
    says(arn, 'Approved', 'arn:aws:sts::123456789012:assumed-role/ml-oncall/zoe');
    assert.equal((await cycle.result()).outcome, 'approved');
    await mirror.result();
    assert.equal(worlds.of('there').reports[0]!.approvedBy, 'ml-oncall');
    assert.deepEqual(packageOf('there'), { arn, status: 'Approved', description: 'ml-oncall: looks good' });
    const { approval, package: kept, by, version, lineage } = await registrationOf(registrable);
    assert.deepEqual({ approval, kept, by, version }, { approval: 'Approved', kept: arn, by: 'ml-oncall', version: 1 });
    assert.match(lineage!.training, /:action\//);
  });

  it('an approval here is written there', async () => {
    const { cycle, mirror } = await start('here', asks);
    const { arn, status } = await appears('here');
    assert.equal(status, 'PendingManualApproval');
    const answer = await eventually('the cycle waits', async () => {
      const said = await cycle.executeUpdate(approveUpdate, {
        args: [{ requestId: `r${Math.random()}`, by: 'ann', reason: 'fine' }],
      });
      return said.state === 'done' && said;
    });
    assert.equal(answer.state, 'done');
    await mirror.result();
    assert.deepEqual(packageOf('here'), { arn, status: 'Approved', description: 'ann: fine' });
  });

  it('AWS is away: the cycle ends all the same, and the mirror follows when it is back', async () => {
    away = true;
    const { registrable, cycle, mirror } = await start('away', 'auto');
    assert.equal((await cycle.result()).outcome, 'approved');
    await eventually('it is tried and fails', async () => {
      const [pending] = (await mirror.describe()).raw.pendingActivities ?? [];
      return pending?.lastFailure?.message?.includes('ECONNREFUSED');
    });
    assert.equal(packageOf('away'), undefined);
    away = false;
    await mirror.result();
    assert.equal(packageOf('away')?.status, 'Approved');
    assert.equal((await registrationOf(registrable)).version, 1);
  });

  it('a cycle that is terminated leaves no package that waits for ever', async () => {
    const { cycle, mirror } = await start('terminated', asks);
    await appears('terminated');
    await cycle.terminate('test');
    await mirror.result();
    assert.deepEqual(packageOf('terminated')?.status, 'Rejected');
  });
});
