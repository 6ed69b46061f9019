import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { RegistryActivities } from '../contracts/activities.ts';
import type { Registration } from '../contracts/manifests.ts';
import type { Registrable } from '../contracts/messages.ts';
import { refNames, workflowIds } from '../contracts/names.ts';
import type { PackageApproval, SageMakerRegistry } from '../registry/sagemaker/registry.ts';
import { getManifest, putManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { approveUpdate, rejectUpdate } from '../workflows/messages.ts';
import { notYet, toPassingFailure } from './failures.ts';

/** What these activities ask of a registry elsewhere. */
export type Registry = Pick<
  SageMakerRegistry,
  'group' | 'publish' | 'approval' | 'approver' | 'setApproval' | 'trace' | 'pollMs'
>;

export interface RegistryDeps {
  store: Store;
  client: Client;
  /** @param name `sagemaker:<target>` */
  open: (name: string) => Promise<Registry>;
}

/** A package is made within seconds. */
const untilMadeMs = 1_000;

export function createRegistryActivities({ store, client, open }: RegistryDeps): RegistryActivities {
  return {
    async publishPackage(registrable) {
      return await passing(async () => {
        const registry = await open(registrable.registry);
        const packageArn = await registry.publish(registrable).catch((error: Error) => {
          throw error.name === 'PackageNotReady' ? notYet(error.message, untilMadeMs) : error;
        });
        await record(registrable, 'published', {
          ...{ registry: registrable.registry, group: registry.group(registrable.model), package: packageArn },
          approval: 'PendingManualApproval',
        });
        return { packageArn };
      });
    },

    async awaitRegistryApproval({ packageArn, registrable, approvers }) {
      return await passing(async () => {
        const registry = await open(registrable.registry);
        const seen = await registry.approval(packageArn);
        const cycle = client.workflow.getHandle(workflowIds.cycle(registrable.loop, registrable.n));
        const nothing = { said: 'nothing', by: '' } as const;
        try {
          if (!seen || seen.status === 'PendingManualApproval') {
            if ((await cycle.describe()).status.name !== 'RUNNING') return nothing;
            throw notYet(`nobody has decided about ${packageArn} in SageMaker`, registry.pollMs);
          }
          const said = seen.status === 'Approved' ? 'approve' : 'reject';
          const by = registry.approver(seen, approvers);
          const requestId = `${packageArn}/${said}/${seen.changedMs}`;
          const answer = await cycle.executeUpdate(said === 'approve' ? approveUpdate : rejectUpdate, {
            args: [{ requestId, by, reason: reasonOf(seen) }],
            updateId: requestId,
          });
          if (answer.state !== 'refused') return { said, by };
          // Whoever looks there must not take it for approved.
          const reason = `the word of ${by} does not count: ${answer.reason}`;
          await registry.setApproval(packageArn, 'PendingManualApproval', { by: 'goto3', reason });
          throw notYet(reason, registry.pollMs);
        } catch (error) {
          if (error instanceof WorkflowNotFoundError) return nothing;
          throw error;
        }
      });
    },

    async writeApproval({ packageArn, registrable, decision: { approved, by, reason, version } }) {
      await passing(async () => {
        const registry = await open(registrable.registry);
        const approval = approved ? 'Approved' : 'Rejected';
        const word = { by, reason, ...(version !== null && { version }) };
        await registry.setApproval(packageArn, approval, word);
        await record(registrable, 'decided', { approval, ...word });
      });
    },

    async traceLineage({ packageArn, registrable, endpoint }) {
      await passing(async () => {
        const registry = await open(registrable.registry);
        const lineage = await registry.trace(registrable, packageArn, endpoint);
        await record(registrable, endpoint === null ? 'traced' : 'served', { lineage });
      });
    },
  };

  /** The newest entry with what has changed, once for the step of the cycle. */
  async function record(
    { loop, n, model, candidate, verdict }: Registrable,
    step: string,
    change: Partial<Registration>,
  ): Promise<void> {
    const name = refNames.registration(model, candidate.slice('sha256:'.length, 'sha256:'.length + 40));
    const before = await store.refs.read(name);
    const registration = {
      ...(before && (await getManifest(store, before.digest, 'Registration'))),
      ...{ kind: 'Registration', parents: [candidate, verdict], createdAt: new Date().toISOString(), model: candidate },
      ...change,
    } as Registration;
    await store.refs.append(name, await putManifest(store, registration), {
      ...{ operation: `${loop}/${n}/${step}`, by: workflowIds.cycle(loop, n), reason: step },
    });
  }
}

const reasonOf = ({ description, status }: PackageApproval): string =>
  description === '' ? `${status} in SageMaker` : description;

/** A policy that is changed, a target that is corrected: what no retry repairs a person may, and the mirror goes on. */
async function passing<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw toPassingFailure(error);
  }
}
