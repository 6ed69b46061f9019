import { Connection, isGrpcServiceError } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { readEnvironment } from '../src/stack/environment.ts';
import { prepareNamespace } from '../src/stack/temporal-namespace.ts';

/**
 * Makes a Temporal server of your own ready for goto3: waits until it answers, creates the namespace where it is missing,
 * then does what `goto3 up` does to its own server: 30 days of retention and our search attributes. As often as one likes.
 * TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say where.
 */
const { temporalAddress: address, temporalNamespace: namespace } = readEnvironment();
const withinMs = 180_000;
const retentionMs = 30 * 86_400_000;
const grpc = { notFound: 5, alreadyExists: 6 };

if (address === undefined) throw new Error('TEMPORAL_ADDRESS: expected host:port of a Temporal server');

/** A server that starts answers late, then knows no new namespace for some seconds: both are waited for. */
async function eventually<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + withinMs;
  while (true) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() >= deadline) throw new Error(`${what}: not within ${withinMs / 1_000} s`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

async function createWhereMissing({ workflowService }: Connection): Promise<void> {
  try {
    await workflowService.describeNamespace({ namespace });
  } catch (error) {
    if (!isGrpcServiceError(error) || error.code !== grpc.notFound) throw error;
    await workflowService
      .registerNamespace({ namespace, workflowExecutionRetentionPeriod: msToTs(retentionMs) })
      .catch((refusal: unknown) => {
        if (!isGrpcServiceError(refusal) || refusal.code !== grpc.alreadyExists) throw refusal;
      });
  }
}

const connection = await eventually(`Temporal at ${address}`, () =>
  Connection.connect({ address, connectTimeout: 5_000 }),
);
try {
  await eventually(`namespace ${namespace}`, () => createWhereMissing(connection));
} finally {
  await connection.close();
}
await eventually(`search attributes of ${namespace}`, () => prepareNamespace(address, namespace));
console.log(JSON.stringify({ event: 'ready', address, namespace }));
