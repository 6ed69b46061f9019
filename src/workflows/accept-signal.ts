import { log } from '@temporalio/workflow';
import { DecodeError, type Decoder } from './decode.ts';

/**
 * A bad signal is logged, counted and dropped: nobody waits for its answer, and throwing would wedge the workflow.
 *
 * @param counted is called when the signal is dropped
 * @returns the message, or undefined when it was dropped
 */
export function acceptSignal<T>(decoder: Decoder<T>, message: unknown, counted: () => void): T | undefined {
  try {
    return decoder(message, 'input');
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    log.warn('dropped a malformed signal', { problem: error.message });
    counted();
    return undefined;
  }
}
