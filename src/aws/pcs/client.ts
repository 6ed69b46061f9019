import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import type { AwsCredentialIdentity } from '@smithy/types';
import type { PcsCommand } from './command.ts';
import { type EndpointSettings, pcsEndpoint } from './endpoint.ts';
import { checkInput, inputs, type Operation } from './inputs.ts';
import type { Output } from './outputs.ts';
import { pauseBeforeRetry } from './retry.ts';
import type { ErrorMetadata } from './service-errors.ts';
import { readAnswer, signedRequest } from './wire.ts';

export interface PCSClientConfig extends EndpointSettings {
  region: string;
  credentials: AwsCredentialIdentity | (() => Promise<AwsCredentialIdentity>);
  /** Of one command; 3 as in the SDKs, 1 under an `AwsCaller`, which waits for all callers together. */
  maxAttempts?: number;
}

/** A control plane answers in seconds; what takes longer is lost, and the token makes the repetition safe. */
const connectionTimeoutMs = 5_000;
const requestTimeoutMs = 30_000;

/**
 * AWS PCS's control plane, of the shape of `PCSClient` in @aws-sdk/client-pcs: `send(new GetClusterCommand(…))`. Differs in
 * that inputs are checked before anything is sent.
 */
export class PCSClient {
  readonly #config: PCSClientConfig;
  readonly #endpoint: URL;
  readonly #handler = new NodeHttpHandler({
    connectionTimeout: connectionTimeoutMs,
    requestTimeout: requestTimeoutMs,
    throwOnRequestTimeout: true,
  });

  /** @throws InvalidPcsEndpoint */
  constructor(config: PCSClientConfig) {
    this.#config = config;
    this.#endpoint = pcsEndpoint(config.region, config);
  }

  /** @throws InvalidPcsInput before anything is sent; PCSServiceException, by class or `name`; errors of Node's sockets */
  async send<O extends Operation>(
    command: PcsCommand<O>,
    { abortSignal }: { abortSignal?: AbortSignal } = {},
  ): Promise<Output<O> & { $metadata: ErrorMetadata }> {
    const { operation } = command;
    const input = checkInput(operation, command.input);
    // As the SDKs do: without a token of the caller's, the attempts of this one send share one.
    const takesToken = 'clientToken' in inputs[operation].shape;
    const body = JSON.stringify(takesToken ? { ...input, clientToken: tokenIn(input) ?? randomUUID() } : input);
    const { maxAttempts = 3 } = this.#config;
    const invocation = randomUUID();
    for (let attempt = 1; ; attempt++) {
      abortSignal?.throwIfAborted();
      try {
        const answer = await this.#attempt({ operation, body }, { invocation, attempt, maxAttempts }, abortSignal);
        answer.$metadata.attempts = attempt;
        return answer;
      } catch (error) {
        const pauseMs = pauseBeforeRetry(error, attempt, { maxAttempts, random: Math.random() });
        if (pauseMs === undefined) throw error;
        await sleep(pauseMs, undefined, abortSignal && { signal: abortSignal });
      }
    }
  }

  destroy(): void {
    this.#handler.destroy();
  }

  async #attempt<O extends Operation>(
    call: { operation: O; body: string },
    { invocation, attempt, maxAttempts }: { invocation: string; attempt: number; maxAttempts: number },
    abortSignal: AbortSignal | undefined,
  ) {
    const { region, credentials } = this.#config;
    const request = await signedRequest(call, {
      endpoint: this.#endpoint,
      region,
      credentials: typeof credentials === 'function' ? await credentials() : credentials,
      at: new Date(),
    });
    // Not signed: they differ from attempt to attempt and mean nothing to the one who carries it out.
    request.headers['amz-sdk-invocation-id'] = invocation;
    request.headers['amz-sdk-request'] = `attempt=${attempt}; max=${maxAttempts}`;
    request.headers['user-agent'] = 'goto3';
    const { response } = await this.#handler.handle(request, abortSignal && { abortSignal });
    return readAnswer(call.operation, {
      statusCode: response.statusCode,
      headers: response.headers,
      text: await text(response.body as Readable),
    });
  }
}

function tokenIn(input: object): string | undefined {
  return 'clientToken' in input ? (input.clientToken as string | undefined) : undefined;
}
