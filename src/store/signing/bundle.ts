import { sign, verify } from 'node:crypto';
import { z } from 'zod';
import { parseJson } from '../canonical-json.ts';
import { InvalidInput } from '../errors.ts';
import { SignatureRefused } from './errors.ts';
import { hashOf, type SigningKey, type TrustedKey } from './keys.ts';

/** Sigstore bundle v0.3 (docs.sigstore.dev/about/bundle) around a DSSE envelope, by a key alone: no log, no network. */
const mediaType = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const payloadType = 'application/vnd.in-toto+json';

const bytes = z.base64().transform((text) => Buffer.from(text, 'base64'));

const Bundle = z.object({
  mediaType: z.literal(mediaType),
  verificationMaterial: z.object({ publicKey: z.object({ hint: z.string().nullish() }) }),
  dsseEnvelope: z.object({
    payload: bytes,
    payloadType: z.literal(payloadType),
    // One key vouches, or none: several would leave open which of them has to hold.
    signatures: z.tuple([z.object({ sig: bytes })]),
  }),
});

/** A bundle over a statement, as JSON text. */
export function makeBundle(statement: Uint8Array, key: SigningKey): Uint8Array {
  const sig = sign(hashOf(key), preAuthenticated(statement), { key: key.privateKey, dsaEncoding: 'der' });
  return Buffer.from(
    JSON.stringify({
      mediaType,
      verificationMaterial: { publicKey: { hint: key.fingerprint }, tlogEntries: [] },
      dsseEnvelope: {
        payload: Buffer.from(statement).toString('base64'),
        payloadType,
        signatures: [{ sig: sig.toString('base64'), keyid: '' }],
      },
    }),
  );
}

/**
 * What a trusted key has signed. The hint only chooses among the trusted keys; the signature decides.
 * @throws SignatureRefused
 */
export function openBundle(
  bundle: Uint8Array,
  trusted: readonly TrustedKey[],
): { payload: Uint8Array; signer: TrustedKey } {
  const { verificationMaterial, dsseEnvelope } = readBundle(bundle);
  const { hint } = verificationMaterial.publicKey;
  const candidates = trusted.filter(({ fingerprint }) => !hint || fingerprint === hint);
  if (candidates.length === 0)
    throw new SignatureRefused(`it is signed by the key ${hint?.slice(0, 64) ?? 'of no name'}, which is not trusted`);
  const { payload, signatures } = dsseEnvelope;
  const signer = candidates.find((key) => {
    try {
      const { publicKey } = key;
      return verify(hashOf(key), preAuthenticated(payload), { key: publicKey, dsaEncoding: 'der' }, signatures[0].sig);
    } catch {
      return false;
    }
  });
  if (!signer) throw new SignatureRefused('its signature does not hold');
  return { payload, signer };
}

function readBundle(bundle: Uint8Array): z.output<typeof Bundle> {
  let document: unknown;
  try {
    document = parseJson(bundle, 'signature');
  } catch (error) {
    if (error instanceof InvalidInput) throw new SignatureRefused(error.message);
    throw error;
  }
  const parsed = Bundle.safeParse(document);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new SignatureRefused(`signature, ${issue!.path.join('.') || 'whole'}: ${issue!.message}`);
}

/** DSSE v1 (secure-systems-lab/dsse, protocol.md): what is really signed. */
const preAuthenticated = (payload: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `), payload]);
