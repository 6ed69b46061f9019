import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';

/**
 * A signal whose payload cannot be read fails the workflow task before any handler sees it, again and again, and with it
 * the entity for ever (found by sending one). So what cannot be read becomes a value that no decoder takes: the message is
 * then dropped or refused like any other that is malformed.
 */
export const payloadConverter: PayloadConverter = {
  toPayload: (value) => defaultPayloadConverter.toPayload(value),
  fromPayload: <T>(payload: Payload): T => {
    try {
      return defaultPayloadConverter.fromPayload<T>(payload);
    } catch (error) {
      return { unreadablePayload: error instanceof Error ? error.message : String(error) } as T;
    }
  },
};
