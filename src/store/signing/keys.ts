import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { InvalidSigning } from './errors.ts';

/** A public key that may vouch for models. */
export interface TrustedKey {
  readonly publicKey: KeyObject;
  /** SHA-256 of the key's PEM text, in hex: the `hint` of a bundle. */
  readonly fingerprint: string;
}

export interface SigningKey extends TrustedKey {
  readonly privateKey: KeyObject;
}

/** Curves of OpenSSF Model Signing, each with its hash. */
const hashes: Readonly<Record<string, string>> = { prime256v1: 'sha256', secp384r1: 'sha384', secp521r1: 'sha512' };

/** The hash that goes with a key's curve. */
export const hashOf = ({ publicKey }: TrustedKey): string => hashes[publicKey.asymmetricKeyDetails?.namedCurve ?? '']!;

/** @param what names the key in the error @throws InvalidSigning */
export function trustedKey(pem: string, what: string): TrustedKey {
  // Node would derive a public key from a private one: a policy that holds a private key by mistake must not pass.
  if (pem.includes('PRIVATE KEY')) throw new InvalidSigning(`${what}: expected a public key, found a private one`);
  return known(what, () => createPublicKey(pem));
}

/** @param what names the key in the error @throws InvalidSigning */
export function signingKey(pem: string, what: string): SigningKey {
  let privateKey: KeyObject | undefined;
  const key = known(what, () => {
    privateKey = createPrivateKey(pem);
    return createPublicKey(privateKey);
  });
  return { ...key, privateKey: privateKey! };
}

function known(what: string, read: () => KeyObject): TrustedKey {
  let publicKey: KeyObject;
  try {
    publicKey = read();
  } catch {
    throw new InvalidSigning(`${what}: expected a PEM key (openssl ecparam -name prime256v1 -genkey -noout)`);
  }
  const curve = publicKey.asymmetricKeyDetails?.namedCurve;
  if (!Object.hasOwn(hashes, curve ?? ''))
    throw new InvalidSigning(
      `${what}: expected a key on P-256, P-384 or P-521, found ${curve ?? publicKey.asymmetricKeyType}`,
    );
  const fingerprint = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'pem' }))
    .digest('hex');
  return { publicKey, fingerprint };
}
