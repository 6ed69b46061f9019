import { ApplicationFailure, condition, isCancellation, setHandler } from '@temporalio/workflow';
import { failureTypes } from '../contracts/failures.ts';
import type { Answer, Request, SetSpec } from '../contracts/messages.ts';
import { acceptSignal } from './accept-signal.ts';
import { decodeUpdate } from './decode.ts';
import { guarded } from './guarded.ts';
import {
  cycleFinishedSignal,
  decodeCycleFinished,
  decodeNewData,
  decodeRequest,
  decodeSetSpec,
  loopStatusQuery,
  newDataSignal,
  pauseUpdate,
  resumeUpdate,
  retrainUpdate,
  setSpecUpdate,
} from './messages.ts';
import type { LoopMachine } from './policies/loop.ts';
import { loopStatus } from './policies/loop-status.ts';
import { control } from './proxies.ts';
import { rootCause } from './root-cause.ts';

export interface LoopMessages {
  /** Rises with everything that may change the next step. */
  readonly revision: number;
  changed(): void;
}

/** Wires the messages of a loop to its machine. */
export function hearLoopMessages(machine: LoopMachine): LoopMessages {
  const { state } = machine;
  const messages = {
    revision: 0,
    changed() {
      messages.revision += 1;
    },
  };
  /** Whoever asks a loop that has just been born waits until it knows its limits, or why it cannot. */
  const known = async (): Promise<void> => await condition(() => state.plan !== null || state.blocked !== null);
  const answer = async (decide: () => Answer): Promise<Answer> => {
    await known();
    const said = decide();
    messages.changed();
    return said;
  };
  const dropped = (): void => {
    state.droppedSignals += 1;
  };
  const valid = { validator: (request: unknown) => void decodeUpdate(decodeRequest, request) };

  setHandler(
    retrainUpdate,
    guarded(async (request: Request) => await answer(() => machine.retrain(request, Date.now()))),
    { ...valid, description: 'Start a cycle now, or queue one: {requestId, reason, by}' },
  );
  setHandler(
    pauseUpdate,
    guarded(async (request: Request) => await answer(() => machine.pause(request, Date.now()))),
    { ...valid, description: 'Start no further cycle: {requestId, reason, by}' },
  );
  setHandler(
    resumeUpdate,
    guarded(async (request: Request) => await answer(() => machine.resume(request))),
    { ...valid, description: 'End a pause, reset the fuse, try again what failed: {requestId, reason, by}' },
  );
  setHandler(
    setSpecUpdate,
    guarded(async ({ requestId, specDigest }: SetSpec) => {
      // Read first: a spec that cannot be read must not take the place of one that can.
      const { plan } = await control.readPlan({ loop: machine.loop, specDigest }).catch(refuseSpec);
      const said = machine.setSpec(requestId, specDigest, plan);
      messages.changed();
      return said;
    }),
    {
      validator: (request) => void decodeUpdate(decodeSetSpec, request),
      description: 'Use another spec from the next cycle on; `goto3 apply` sends it',
    },
  );
  setHandler(newDataSignal, (message) => {
    if (!acceptSignal(decodeNewData, message, dropped)) return;
    state.dataHint = true;
    messages.changed();
  });
  setHandler(cycleFinishedSignal, (message) => {
    const report = acceptSignal(decodeCycleFinished, message, dropped);
    if (report && machine.finished(report, Date.now())) messages.changed();
  });
  setHandler(loopStatusQuery, () => loopStatus(machine, Date.now()));
  return messages;
}

function refuseSpec(error: unknown): never {
  if (isCancellation(error)) throw error;
  throw ApplicationFailure.nonRetryable(rootCause(error), failureTypes.invalidInput);
}
