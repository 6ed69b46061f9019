import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import type { Keyring } from './keyring.ts';
import { payloadCodec } from './payload-codec.ts';

export const failureConverterPath = fileURLToPath(new URL('./failure-converter.cjs', import.meta.url));

/** The same for workers, clients and their workflows: what one of them writes all of them read. */
export function dataConverterOf(keyring: Keyring | undefined, namespace: string): DataConverter {
  const payloadCodecs = [payloadCodec(keyring, namespace)];
  return keyring ? { payloadCodecs, failureConverterPath } : { payloadCodecs };
}
