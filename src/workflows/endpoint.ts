import {
  allHandlersFinished,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  patched,
  setCurrentDetails,
  workflowInfo,
} from '@temporalio/workflow';
import type { EndpointInput } from '../contracts/messages.ts';
import { showAttention } from './attention.ts';
import { Bell } from './bell.ts';
import { apply, GlassBroken } from './endpoint/desired.ts';
import { load } from './endpoint/load.ts';
import { hearEndpointMessages } from './endpoint/messages.ts';
import { end } from './endpoint/record.ts';
import { rollOut } from './endpoint/roll-out.ts';
import { idle } from './endpoint/watch.ts';
import { deployFinishedSignal } from './messages.ts';
import { endpointDetails } from './policies/details.ts';
import { EndpointMachine, initialEndpointState } from './policies/endpoint.ts';
import { endpointAttention, endpointStatus } from './policies/endpoint-status.ts';
import { rootCause } from './root-cause.ts';

/**
 * In normal life the single writer of what an endpoint serves: one rollout at a time, by evidence, with a way back
 * (DESIGN §5). Lives for ever; everything that it decides is the machine's (policies/endpoint). What fails for good does
 * not end it: it waits for a person, and serves on what it serves.
 */
export async function endpoint(input: EndpointInput): Promise<void> {
  const machine = new EndpointMachine(input.endpoint, input.state ?? initialEndpointState());
  const { state } = machine;
  const bell = new Bell();
  hearEndpointMessages(machine);

  while (true) {
    show(machine);
    tellWhoIsOnCall(machine, bell);
    try {
      await nextStep(machine);
    } catch (error) {
      if (isCancellation(error)) throw error;
      // Somebody moved the desired state by hand: that is where it begins again.
      if (error instanceof GlassBroken) state.loaded = false;
      else machine.block(rootCause(error), Date.now());
    }
    if (workflowInfo().continueAsNewSuggested && !state.candidate) {
      await condition(() => !bell.isRinging, '10s');
      await condition(allHandlersFinished);
      await continueAsNew<typeof endpoint>({ endpoint: input.endpoint, state });
    }
  }
}

async function nextStep(machine: EndpointMachine): Promise<void> {
  const { state } = machine;
  switch (machine.next()) {
    case 'tell':
      return await tellCycle(machine);
    case 'waitForPerson':
      return await condition(() => machine.next() !== 'waitForPerson');
    case 'load':
      return await load(machine);
    case 'end':
      return await end(machine);
    case 'rollBack':
      return machine.rollBackToStable(state.rollbackAsked!, Date.now());
    case 'apply':
      return await apply(machine, 'goto3', 'shadows or freeze changed');
    case 'rollOut':
      return await rollOut(machine, state.queue[0]!, () => show(machine));
    case 'idle':
      return await idle(machine);
  }
}

/** A cycle that is gone needs no answer. */
async function tellCycle({ state }: EndpointMachine): Promise<void> {
  const { replyTo, message } = state.outbox.shift()!;
  await getExternalWorkflowHandle(replyTo)
    .signal(deployFinishedSignal, message)
    .catch(() => undefined);
}

/** What no cycle tells, since it has ended. A notice that a closing run takes along is rung again by the next. */
function tellWhoIsOnCall(machine: EndpointMachine, bell: Bell): void {
  const [next] = machine.notices;
  if (!next) {
    bell.silence();
    return;
  }
  // Endpoints that were begun by older code told nobody.
  if (!patched('endpoint-tells-who-is-on-call')) return;
  const { loop, notice } = next;
  bell.ring({ loop, n: null, specDigest: null }, notice, () => {
    machine.heard(notice.key);
    tellWhoIsOnCall(machine, bell);
  });
}

function show({ endpoint: name, state }: EndpointMachine): void {
  setCurrentDetails(endpointDetails(endpointStatus(name, state)));
  showAttention(endpointAttention(state));
}
