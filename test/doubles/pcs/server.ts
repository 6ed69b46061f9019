import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { type AccountRules, PcsAccount } from './account.ts';
import { ApiError, throttled } from './api-error.ts';
import { ClientTokens } from './client-tokens.ts';
import type { Fields } from './resource.ts';
import { tag, tagsOf, untag } from './tags.ts';

/** A call as it was on the wire. */
export interface RecordedCall {
  operation: string;
  url: string;
  headers: Record<string, string>;
  text: string;
  status: number;
  answer: object;
}

/** `lostReply`: carried out, and the connection breaks. `unavailable`: a 503 of something before the service. */
export type Fault = 'lostReply' | 'throttle' | 'internal' | 'unavailable' | 'garbage' | 'reset';

export interface PcsDouble {
  url: string;
  account: PcsAccount;
  calls: RecordedCall[];
  /** The next calls of the operation meet these, one each. */
  inject(operation: string, ...faults: Fault[]): void;
  /** Faults that have not been met. */
  pending(): number;
  stop(): Promise<void>;
}

/**
 * The control plane of AWS PCS on 127.0.0.1: awsJson 1.0, stateful. Signatures are judged by botocore afterwards, from
 * `calls`; here only the region of the credential's scope is.
 */
export async function startPcsDouble(options: Partial<AccountRules> = {}): Promise<PcsDouble> {
  const { region = 'eu-central-1', account: number = '123456789012' } = options;
  const { nowMs = Date.now, changeMs = 100 } = options;
  const { quotas = { clusters: 5, nodeGroupsOfCluster: 10, queuesOfCluster: 10 } } = options;
  const account = new PcsAccount({ account: number, region, nowMs, changeMs, quotas });
  const operations = operationsOf(account);
  const tokens = new ClientTokens();
  const calls: RecordedCall[] = [];
  const faults: { operation: string; fault: Fault }[] = [];

  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    account,
    calls,
    inject: (operation, ...added) => void faults.push(...added.map((fault) => ({ operation, fault }))),
    pending: () => faults.length,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const operation = String(request.headers['x-amz-target'] ?? '').replace('AWSParallelComputingService.', '');
    const body = await text(request);
    const at = faults.findIndex((each) => each.operation === operation);
    const fault = at < 0 ? undefined : faults.splice(at, 1)[0]!.fault;
    const { status, answer } = fault && fault !== 'lostReply' ? failing(fault) : run(request, operation, body);
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    calls.push({ operation, url: `${url}${request.url}`, headers, text: body, status, answer });
    if (fault === 'lostReply' || fault === 'reset') {
      request.socket.destroy();
      return;
    }
    response.writeHead(status, {
      'content-type': 'application/x-amz-json-1.0',
      'x-amzn-requestid': randomUUID(),
    });
    response.end(fault === 'unavailable' || fault === 'garbage' ? '<html>' : JSON.stringify(answer));
  }

  function failing(fault: Fault): { status: number; answer: object } {
    if (fault === 'throttle') return answerOf(throttled());
    if (fault === 'internal') return answerOf(new ApiError('InternalServerException', 500, 'Try again later.'));
    return { status: fault === 'unavailable' ? 503 : 200, answer: {} };
  }

  function run(request: IncomingMessage, operation: string, body: string): { status: number; answer: object } {
    try {
      checkEnvelope(request, region);
      const carryOut = Object.hasOwn(operations, operation) ? operations[operation] : undefined;
      if (!carryOut) throw unknownOperation(operation);
      const input = parse(body);
      return { status: 200, answer: tokens.once(operation, input, () => carryOut(input)) };
    } catch (error) {
      return answerOf(error instanceof ApiError ? error : new ApiError('InternalServerException', 500, String(error)));
    }
  }
}

function operationsOf(account: PcsAccount): Record<string, (input: Fields) => Fields> {
  return {
    CreateCluster: (input) => account.createCluster(input),
    GetCluster: (input) => account.getCluster(input),
    ListClusters: (input) => account.listClusters(input),
    UpdateCluster: (input) => account.updateCluster(input),
    DeleteCluster: (input) => account.deleteCluster(input),
    CreateComputeNodeGroup: (input) => account.createNodeGroup(input),
    GetComputeNodeGroup: (input) => account.getNodeGroup(input),
    ListComputeNodeGroups: (input) => account.listNodeGroups(input),
    UpdateComputeNodeGroup: (input) => account.updateNodeGroup(input),
    DeleteComputeNodeGroup: (input) => account.deleteNodeGroup(input),
    CreateQueue: (input) => account.createQueue(input),
    GetQueue: (input) => account.getQueue(input),
    ListQueues: (input) => account.listQueues(input),
    UpdateQueue: (input) => account.updateQueue(input),
    DeleteQueue: (input) => account.deleteQueue(input),
    TagResource: (input) => tag(account.resources(), input),
    UntagResource: (input) => untag(account.resources(), input),
    ListTagsForResource: (input) => tagsOf(account.resources(), input),
  };
}

/** With a namespace before the name, as awsJson 1.0 allows and clients must bear (smithy.io, AWS JSON 1.0). */
const answerOf = ({ code, status, message, members }: ApiError): { status: number; answer: object } => ({
  status,
  answer: { __type: `com.amazonaws.pcs#${code}`, message, ...members },
});

function checkEnvelope(request: IncomingMessage, region: string): void {
  const scope = /Credential=[^/]+\/\d{8}\/([^/]+)\/pcs\//.exec(request.headers.authorization ?? '');
  if (!scope) throw new ApiError('MissingAuthenticationTokenException', 403, 'Missing Authentication Token');
  // What every service says to a signature for elsewhere (IAM user guide, troubleshooting SigV4).
  if (scope[1] !== region)
    throw new ApiError('InvalidSignatureException', 403, 'Credential should be scoped to a valid region.');
  if (request.headers['content-type'] !== 'application/x-amz-json-1.0')
    throw new ApiError('ValidationException', 400, 'No such content type.', { reason: 'cannotParse' });
}

const unknownOperation = (operation: string): ApiError =>
  new ApiError('ValidationException', 400, `No operation ${operation}.`, { reason: 'unknownOperation' });

function parse(body: string): Fields {
  try {
    return JSON.parse(body) as Fields;
  } catch {
    throw new ApiError('ValidationException', 400, 'The body is no JSON.', { reason: 'cannotParse' });
  }
}
