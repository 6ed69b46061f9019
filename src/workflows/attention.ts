import { upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { searchAttributes } from '../contracts/search-attributes.ts';

/** What a person owes this workflow, in its search attribute; written only when it changes, as each write is an event. */
export function showAttention(attention: string | null): void {
  const shown = workflowInfo().typedSearchAttributes.get(searchAttributes.attention) ?? null;
  if (attention !== shown) upsertSearchAttributes([{ key: searchAttributes.attention, value: attention }]);
}
