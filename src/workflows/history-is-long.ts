import { patched, workflowInfo } from '@temporalio/workflow';

/** The server suggests to go on as a new run from 4,096 events on; our bound is that none has so many. */
const longHistoryEvents = 3_500;

/** Time to go on as a new run. For main bodies, not for conditions: asking leaves a mark in the history. */
export const historyIsLong = (): boolean => {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  return continueAsNewSuggested || (historyLength >= longHistoryEvents && patched('histories-below-4096'));
};
