import { createHash } from 'node:crypto';

/**
 * The idempotency token of one effect: the same for every attempt, in whatever process, so that a repetition after a lost
 * reply returns what the first one made. `revision` tells two wanted effects of one kind on one resource apart (the second
 * scaling of a node group), and comes from the workflow's history.
 * @returns 70 characters; PCS takes 8 to 100
 */
export function clientTokenOf(effect: {
  workflowId: string;
  operation: string;
  resource: string;
  revision: number;
}): string {
  const { workflowId, operation, resource, revision } = effect;
  const digest = createHash('sha256')
    .update(JSON.stringify([workflowId, operation, resource, revision]))
    .digest('hex');
  return `goto3-${digest}`;
}
