import { CancellationScope, condition, workflowInfo } from '@temporalio/workflow';
import type { EndpointMachine } from '../policies/endpoint.ts';
import { observe } from '../proxies.ts';
import { GlassBroken } from './desired.ts';

/** Waits for a message, for the end of probation, or for somebody who moves the ref by hand. */
export async function idle(machine: EndpointMachine): Promise<void> {
  const { state } = machine;
  await whileWatching(async () => {
    const somethingToDo = (): boolean => machine.next() !== 'idle' || workflowInfo().continueAsNewSuggested;
    const events: Promise<(() => Promise<void>) | undefined>[] = [condition(somethingToDo).then(() => undefined)];
    if (state.desired) events.push(glassBreaks(machine));
    if (state.probation) events.push(probationEnds(machine));
    return await Promise.race(events);
  });
}

/** Throws `GlassBroken` when somebody has moved the desired state by hand. */
export async function glassBreaks(machine: EndpointMachine): Promise<never> {
  const summary = 'has anybody moved the desired state by hand?';
  const { endpoint, state } = machine;
  await observe.watchDesired.executeWithOptions({ summary }, [{ endpoint, expected: state.desired! }]);
  throw new GlassBroken();
}

async function probationEnds(machine: EndpointMachine): Promise<() => Promise<void>> {
  const { endpoint } = machine;
  const { request, startedAtMs } = machine.state.probation!;
  const { loop, model, version, requestId } = request;
  const { errorRateMargin, probation } = request.plan;
  const { forMs, accuracyLoss } = probation!;
  const { outcome, reason } = await observe.observeProbation.executeWithOptions(
    { summary: `probation of version ${version}` },
    [{ endpoint, loop, model, forMs, accuracyLoss, errorRateMargin, sinceMs: startedAtMs }],
  );
  return async () => {
    if (outcome === 'passed') machine.passProbation();
    else machine.rollBackToStable({ requestId: `${requestId}/probation`, by: 'probation', reason }, Date.now());
  };
}

/** Runs a race of events, cancels the losers, then carries out what the winner asks. */
export async function whileWatching<T>(race: () => Promise<(() => Promise<T>) | undefined>): Promise<T | undefined> {
  const scope = new CancellationScope({ cancellable: true });
  const then = await scope.run(async () => {
    try {
      return await race();
    } finally {
      scope.cancel();
    }
  });
  return await then?.();
}
