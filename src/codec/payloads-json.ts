import type { Payload } from '@temporalio/common';
import { z } from 'zod';
import { PayloadRefused } from './errors.ts';

/** Bytes are base64 in proto JSON, values of `metadata` too; what is missing is empty. */
const bytes = z.base64().transform((text) => Buffer.from(text, 'base64'));
const PayloadsJson = z.object({
  payloads: z
    .array(z.object({ metadata: z.record(z.string(), bytes).default({}), data: bytes.default(Buffer.alloc(0)) }))
    .default([]),
});

/** `temporal.api.common.v1.Payloads` from proto JSON. @throws PayloadRefused that names the field, never a value */
export function readPayloads(body: Buffer): Payload[] {
  let document: unknown;
  try {
    document = JSON.parse(body.toString('utf8'));
  } catch {
    throw new PayloadRefused('body: expected JSON');
  }
  const parsed = PayloadsJson.safeParse(document);
  if (parsed.success) return parsed.data.payloads;
  const [issue] = parsed.error.issues;
  throw new PayloadRefused(`body, ${issue!.path.join('.') || 'whole'}: ${issue!.message}`);
}

/** The way back. */
export const writePayloads = (payloads: readonly Payload[]): string =>
  JSON.stringify({
    payloads: payloads.map(({ metadata, data }) => ({
      metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, base64(value)])),
      data: base64(data ?? new Uint8Array()),
    })),
  });

const base64 = (value: Uint8Array): string => Buffer.from(value).toString('base64');
