import { setHandler } from '@temporalio/workflow';
import type { DropData, Request, RetryCycle } from '../../contracts/messages.ts';
import { acceptSignal } from '../accept-signal.ts';
import { decodeUpdate } from '../decode.ts';
import { guarded } from '../guarded.ts';
import {
  acceptDataUpdate,
  approveUpdate,
  cycleStatusQuery,
  decodeDeployFinished,
  decodeDropData,
  decodeRequest,
  decodeRetryCycle,
  deployFinishedSignal,
  dropDataUpdate,
  rejectUpdate,
  retryUpdate,
} from '../messages.ts';
import type { CycleMachine } from '../policies/cycle.ts';

/** Wires the messages of a cycle to its machine. */
export function hearCycleMessages(cycle: CycleMachine): void {
  const valid = { validator: (request: unknown) => void decodeUpdate(decodeRequest, request) };
  setHandler(
    approveUpdate,
    guarded((request: Request) => cycle.decide('approve', request)),
    { ...valid, description: 'Let the candidate go to production: {requestId, reason, by}' },
  );
  setHandler(
    rejectUpdate,
    guarded((request: Request) => cycle.decide('reject', request)),
    { ...valid, description: 'Keep the champion: {requestId, reason, by}' },
  );
  setHandler(
    acceptDataUpdate,
    guarded((request: Request) => cycle.acceptData(request)),
    { ...valid, description: 'Train on the data that was held back: {requestId, reason, by}' },
  );
  setHandler(
    dropDataUpdate,
    guarded((request: DropData) => cycle.dropData(request)),
    {
      validator: (request) => void decodeUpdate(decodeDropData, request),
      description: 'Train without the data that was held back: {requestId, reason, by, slice?}',
    },
  );
  setHandler(
    retryUpdate,
    guarded((request: RetryCycle) => cycle.retry(request)),
    {
      validator: (request) => void decodeUpdate(decodeRetryCycle, request),
      description: 'Try the failed step again: {requestId, reason, by, resources?}',
    },
  );
  setHandler(deployFinishedSignal, (message) => {
    const finished = acceptSignal(decodeDeployFinished, message, () => {
      cycle.droppedSignals += 1;
    });
    if (finished) cycle.deployFinished(finished);
  });
  setHandler(cycleStatusQuery, () => cycle.status());
}
