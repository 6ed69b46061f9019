import { createSecretKey, type KeyObject } from 'node:crypto';
import { isName } from '../contracts/names.ts';
import { InvalidCodecKey } from './errors.ts';

/** Keys of AES-256 by their ids: `current` encodes, all decode. */
export interface Keyring {
  readonly current: string;
  readonly keys: ReadonlyMap<string, KeyObject>;
}

const keyBytes = 32;

/** The secret that holds the key of an id. */
export const secretOfKey = (id: string): string => `codec-key-${id}`;

/**
 * The keys of a list of ids, the first of which encodes; undefined for an empty list. Each is read from its secret as 32
 * bytes in base64. @throws InvalidCodecKey, or what `resolve` throws for a secret that is not set
 */
export async function loadKeyring(
  ids: readonly string[],
  resolve: (secret: string) => Promise<string>,
): Promise<Keyring | undefined> {
  const [current] = ids;
  if (current === undefined) return undefined;
  if (new Set(ids).size < ids.length) throw new InvalidCodecKey(`codec keys ${ids.join(', ')}: an id occurs twice`);
  const keys = new Map<string, KeyObject>();
  for (const id of ids) {
    if (!isName(id) || !isName(secretOfKey(id)))
      throw new InvalidCodecKey(
        `codec key ${JSON.stringify(id)}: expected lower-case letters, digits, ".", "_" and "-", at most 53`,
      );
    keys.set(id, keyOf(await resolve(secretOfKey(id)), secretOfKey(id)));
  }
  return { current, keys };
}

function keyOf(text: string, secret: string): KeyObject {
  const bytes = Buffer.from(text, 'base64');
  // Buffer skips what is no base64: the way back tells.
  if (bytes.length !== keyBytes || bytes.toString('base64') !== text.trim())
    throw new InvalidCodecKey(`secret "${secret}": expected ${keyBytes} bytes in base64 (openssl rand -base64 32)`);
  return createSecretKey(bytes);
}
