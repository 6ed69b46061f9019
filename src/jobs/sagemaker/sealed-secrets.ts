import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto';

const algorithm = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

/**
 * Secrets on their way into a container, in two halves: the sealed bytes are an object in the job's channel, the key is in
 * the request. Whoever may only describe training jobs, and whoever may only read the bucket, learns nothing.
 */
export interface SealedSecrets {
  id: string;
  bytes: Uint8Array;
  /** `<id>.<key>`, for the container's environment. */
  opener: string;
}

export function sealSecrets(values: Readonly<Record<string, string>>): SealedSecrets {
  const id = randomUUID();
  const key = randomBytes(32);
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce);
  cipher.setAAD(Buffer.from(id));
  const sealed = Buffer.concat([cipher.update(JSON.stringify(values), 'utf8'), cipher.final()]);
  return {
    id,
    bytes: Buffer.concat([nonce, cipher.getAuthTag(), sealed]),
    opener: `${id}.${key.toString('base64url')}`,
  };
}

export const secretsId = (opener: string): string => opener.split('.')[0]!;

/** Throws when the bytes are not those that this key sealed. */
export function openSecrets(opener: string, bytes: Uint8Array): Record<string, string> {
  const [id, key] = opener.split('.') as [string, string];
  const decipher = createDecipheriv(algorithm, Buffer.from(key, 'base64url'), bytes.subarray(0, nonceBytes));
  decipher.setAAD(Buffer.from(id));
  decipher.setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
  const text = Buffer.concat([decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()]).toString(
    'utf8',
  );
  return JSON.parse(text) as Record<string, string>;
}
