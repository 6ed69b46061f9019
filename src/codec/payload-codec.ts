import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';
import type { Payload, PayloadCodec } from '@temporalio/common';
import proto from '@temporalio/proto';
import { CodecKeyMissing, PayloadRefused } from './errors.ts';
import type { Keyring } from './keyring.ts';

/** `metadata.encoding` of what this codec writes; the Web UI shows it where no codec server is set. */
export const encryptedEncoding = 'binary/encrypted';
export const keyIdMetadata = 'encryption-key-id';

const cipher = 'aes-256-gcm';
/** NIST SP 800-38D §8.2: 96 bits. Random ones are safe for 2³² payloads a key (§8.3). */
const nonceBytes = 12;
const tagBytes = 16;

const Proto = proto.temporal.api.common.v1.Payload;

/**
 * AES-256-GCM over whole payloads, their metadata included: what is stored is nonce, ciphertext and tag, and the id of the
 * key. The id and the namespace are authenticated, so that bytes moved to another namespace or relabelled are refused.
 *
 * Payloads that are not encoded pass `decode` as they are: loops that began before the codec was turned on go on, and so
 * does a message typed in a Web UI without a codec server. Without a keyring nothing is encoded, and what is encoded is
 * refused with `CodecKeyMissing`: a workflow must never take bytes that it cannot read for a message that says nothing.
 */
export function payloadCodec(keyring: Keyring | undefined, namespace: string): PayloadCodec {
  const keys = keyring?.keys ?? new Map<string, KeyObject>();
  return {
    encode: async (payloads) =>
      keyring ? payloads.map((payload) => encrypt(payload, keyring.current, keyring.keys, namespace)) : payloads,
    decode: async (payloads) =>
      payloads.map((payload) => (isEncrypted(payload) ? decrypt(payload, keys, namespace) : payload)),
  };
}

export const isEncrypted = (payload: Payload): boolean => metadataText(payload, 'encoding') === encryptedEncoding;

function encrypt(payload: Payload, id: string, keys: Keyring['keys'], namespace: string): Payload {
  const nonce = randomBytes(nonceBytes);
  const sealing = createCipheriv(cipher, keys.get(id)!, nonce, { authTagLength: tagBytes });
  sealing.setAAD(boundTo(id, namespace));
  const data = Buffer.concat([
    nonce,
    sealing.update(Proto.encode(payload).finish()),
    sealing.final(),
    sealing.getAuthTag(),
  ]);
  return { metadata: { encoding: Buffer.from(encryptedEncoding), [keyIdMetadata]: Buffer.from(id) }, data };
}

function decrypt(payload: Payload, keys: ReadonlyMap<string, KeyObject>, namespace: string): Payload {
  const id = metadataText(payload, keyIdMetadata);
  if (id === undefined) throw new PayloadRefused(`an encoded payload does not name its key in "${keyIdMetadata}"`);
  const key = keys.get(id);
  if (!key) throw new CodecKeyMissing(id.slice(0, 64), [...keys.keys()]);
  const data = payload.data ?? new Uint8Array();
  if (data.length < nonceBytes + tagBytes)
    throw new PayloadRefused(`a payload encoded with the key "${id}" has ${data.length} bytes: it is cut off`);
  const opening = createDecipheriv(cipher, key, data.subarray(0, nonceBytes), { authTagLength: tagBytes });
  opening.setAAD(boundTo(id, namespace));
  opening.setAuthTag(data.subarray(-tagBytes));
  let plain: Buffer;
  try {
    plain = Buffer.concat([opening.update(data.subarray(nonceBytes, -tagBytes)), opening.final()]);
  } catch {
    throw new PayloadRefused(
      `a payload encoded with the key "${id}" is not authentic in the namespace "${namespace}": it was changed, comes from another namespace, or the key of that id is another one`,
    );
  }
  return Proto.decode(plain);
}

/** Neither an id nor a namespace can hold a line end, so two pairs never give the same text. */
const boundTo = (id: string, namespace: string): Buffer => Buffer.from(`goto3/codec/v1\n${namespace}\n${id}`);

function metadataText(payload: Payload, name: string): string | undefined {
  const value = payload.metadata?.[name];
  return value && Buffer.from(value).toString('utf8');
}
