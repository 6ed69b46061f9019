import { setHandler } from '@temporalio/workflow';
import type { DeployRequest, Request, ShadowRequest, WithdrawRequest } from '../../contracts/messages.ts';
import { decodeUpdate } from '../decode.ts';
import { guarded } from '../guarded.ts';
import {
  decodeDeploy,
  decodeRequest,
  decodeShadow,
  decodeWithdraw,
  deployUpdate,
  endpointStatusQuery,
  freezeUpdate,
  rollbackUpdate,
  shadowUpdate,
  unfreezeUpdate,
  withdrawUpdate,
} from '../messages.ts';
import type { EndpointMachine } from '../policies/endpoint.ts';
import { endpointStatus } from '../policies/endpoint-status.ts';

/** Wires the messages of an endpoint to its machine. */
export function hearEndpointMessages(machine: EndpointMachine): void {
  const valid = { validator: (request: unknown) => void decodeUpdate(decodeRequest, request) };
  setHandler(
    deployUpdate,
    guarded((request: DeployRequest) => machine.deploy(request)),
    {
      validator: (request) => void decodeUpdate(decodeDeploy, request),
      description: 'Roll a version out; cycles send it',
    },
  );
  setHandler(
    withdrawUpdate,
    guarded((request: WithdrawRequest) => machine.withdraw(request)),
    {
      validator: (request) => void decodeUpdate(decodeWithdraw, request),
      description: 'Take a rollout back without barring its model: {requestId, reason, by, deploy}',
    },
  );
  setHandler(
    rollbackUpdate,
    guarded((request: Request) => machine.rollback(request)),
    { ...valid, description: 'Back to the stable version, and freeze: {requestId, reason, by}' },
  );
  setHandler(
    freezeUpdate,
    guarded((request: Request) => machine.freeze(request, new Date().toISOString())),
    { ...valid, description: 'Roll nothing out: {requestId, reason, by}' },
  );
  setHandler(
    unfreezeUpdate,
    guarded((request: Request) => machine.unfreeze(request)),
    { ...valid, description: 'Allow rollouts again, and try again what failed: {requestId, reason, by}' },
  );
  setHandler(
    shadowUpdate,
    guarded((request: ShadowRequest) => machine.shadow(request)),
    {
      validator: (request) => void decodeUpdate(decodeShadow, request),
      description: 'Let a version answer for the record only: {requestId, reason, by, name, model}',
    },
  );
  setHandler(endpointStatusQuery, () => endpointStatus(machine.endpoint, machine.state));
}
