import { CancellationScope, condition, isCancellation, setCurrentDetails, setHandler } from '@temporalio/workflow';
import type { CycleEnded, RegistryDecision, RegistryMirrorInput } from '../contracts/messages.ts';
import { acceptSignal } from './accept-signal.ts';
import { cycleEndedSignal, decodeCycleEnded, decodeRegistryDecision, registryDecidedSignal } from './messages.ts';
import { control, mirroring, watchingApproval } from './proxies.ts';

/** A cycle that was terminated says nothing: then somebody has to look. */
const lookEvery = '6h';

/**
 * The mirror of one candidate in the registry of an environment. It goes beside its cycle and outlives it: AWS may be away
 * for days, and neither the cycle nor its loop waits for that.
 */
export async function registryMirror({ registrable, cycle, approvers }: RegistryMirrorInput): Promise<void> {
  const heard: { decision: RegistryDecision | null; ended: CycleEnded | null; dropped: number } = {
    ...{ decision: null, ended: null, dropped: 0 },
  };
  const dropped = (): void => {
    heard.dropped += 1;
  };
  setHandler(registryDecidedSignal, (message) => {
    heard.decision ??= acceptSignal(decodeRegistryDecision, message, dropped) ?? null;
  });
  setHandler(cycleEndedSignal, (message) => {
    heard.ended ??= acceptSignal(decodeCycleEnded, message, dropped) ?? null;
  });
  const until = async (said: () => boolean): Promise<void> => {
    while (!(await condition(() => said() || heard.ended !== null, lookEvery)))
      if (!(await control.describeCycle(cycle)).open) heard.ended = { outcome: 'gone', endpoint: null };
  };

  setCurrentDetails(`${registrable.loop}/${registrable.n}: becomes a package of ${registrable.registry}`);
  const { packageArn } = await mirroring.publishPackage(registrable);

  setCurrentDetails(`${packageArn} waits for the cycle's decision${approvers ? ', or an approval in SageMaker' : ''}`);
  const isDecided = (): boolean => heard.decision !== null;
  if (approvers && !isDecided() && !heard.ended) {
    const watch = new CancellationScope();
    const watching = watch
      .run(async () => {
        const { said } = await watchingApproval.awaitRegistryApproval({ packageArn, registrable, approvers });
        if (said === 'nothing') heard.ended ??= { outcome: 'gone', endpoint: null };
      })
      .catch((error: unknown) => {
        if (!isCancellation(error) || CancellationScope.current().consideredCancelled) throw error;
      });
    await Promise.race([watching, until(isDecided)]);
    watch.cancel();
    await watching;
  }
  await until(isDecided);

  const undecided = { approved: false, by: 'goto3', reason: `the cycle ended: ${heard.ended?.outcome}`, version: null };
  const decision = heard.decision ?? undecided;
  setCurrentDetails(`${packageArn}: ${decision.approved ? 'approved' : 'rejected'} by ${decision.by}`);
  await mirroring.writeApproval({ packageArn, registrable, decision });
  if (!decision.approved) return;
  await mirroring.traceLineage({ packageArn, registrable, endpoint: null });
  await until(() => false);
  const { endpoint } = heard.ended!;
  if (endpoint !== null) await mirroring.traceLineage({ packageArn, registrable, endpoint });
}
