import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import proto from '@temporalio/proto';
import { searchAttributes } from '../contracts/search-attributes.ts';

/** Closed workflows stay visible for so long; the store, not Temporal, remembers for ever (DESIGN §3). */
const retentionSeconds = 30 * 86_400;
const callTimeoutMs = 5_000;

/**
 * Gives a namespace of the embedded server its retention and our search attributes. The server's own flags do neither for
 * a database that exists already: attributes of a newer goto3 would be missing. Idempotent.
 */
export async function prepareNamespace(address: string, namespace: string): Promise<void> {
  const connection = Connection.lazy({ address });
  try {
    await connection.withDeadline(Date.now() + callTimeoutMs, async () => {
      await keepClosedWorkflows(connection, namespace);
      await registerSearchAttributes(connection, namespace);
    });
  } finally {
    await connection.close();
  }
}

async function keepClosedWorkflows({ workflowService }: Connection, namespace: string): Promise<void> {
  const { config } = await workflowService.describeNamespace({ namespace });
  if (Number(config?.workflowExecutionRetentionTtl?.seconds) === retentionSeconds) return;
  await workflowService.updateNamespace({
    namespace,
    config: { workflowExecutionRetentionTtl: msToTs(retentionSeconds * 1_000) },
  });
}

async function registerSearchAttributes({ operatorService }: Connection, namespace: string): Promise<void> {
  const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
  const missing = Object.values(searchAttributes).filter(({ name }) => customAttributes?.[name] === undefined);
  if (missing.length === 0) return;
  const { IndexedValueType } = proto.temporal.api.enums.v1;
  await operatorService.addSearchAttributes({
    namespace,
    searchAttributes: Object.fromEntries(
      missing.map(({ name, type }) => [name, IndexedValueType[`INDEXED_VALUE_TYPE_${type}`]]),
    ),
  });
}
