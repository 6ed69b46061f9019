import type { Digest } from '../../contracts/digest.ts';
import { makeBundle, openBundle } from './bundle.ts';
import { SignatureRefused } from './errors.ts';
import type { SigningKey, TrustedKey } from './keys.ts';
import { type ReadStatement, readStatement, type SignedFile, statementOf } from './statement.ts';

/** A signature over all files of a model, in the format of OpenSSF Model Signing v1.0. @throws InvalidSigning */
export const signModel = (name: string, files: readonly SignedFile[], key: SigningKey): Uint8Array =>
  makeBundle(statementOf(name, files), key);

export interface VerifiedModel {
  name: string;
  /** Fingerprint of the key that vouches. */
  signer: string;
}

/**
 * That a trusted key vouches for exactly these files: none changed, none missing, none more.
 * @throws SignatureRefused that names the first file of each kind
 */
export function verifyModel(
  bundle: Uint8Array,
  files: readonly SignedFile[],
  trusted: readonly TrustedKey[],
): VerifiedModel {
  const { statement, signer } = openModelBundle(bundle, trusted);
  return { name: compare(statement, files), signer };
}

/** A bundle's statement, once a trusted key has been found to vouch for it. @throws SignatureRefused */
export function openModelBundle(
  bundle: Uint8Array,
  trusted: readonly TrustedKey[],
): { statement: ReadStatement; signer: string } {
  const { payload, signer } = openBundle(bundle, trusted);
  return { statement: readStatement(payload), signer: signer.fingerprint };
}

/** Gives the model's name. @throws SignatureRefused */
export function compare({ name, files: signed }: ReadStatement, files: readonly SignedFile[]): string {
  const found = new Map<string, Digest>(files.map(({ path, digest }) => [path, digest]));
  const problems = [
    first(
      'changed',
      [...found].filter(([path, digest]) => signed.has(path) && signed.get(path) !== digest),
    ),
    first(
      'missing',
      [...signed].filter(([path]) => !found.has(path)),
    ),
    first(
      'not signed',
      [...found].filter(([path]) => !signed.has(path)),
    ),
  ].filter((problem) => problem !== undefined);
  if (problems.length > 0) throw new SignatureRefused(`its signature is for other files: ${problems.join('; ')}`);
  return name;
}

function first(what: string, files: readonly [string, unknown][]): string | undefined {
  const [one] = files;
  if (!one) return undefined;
  return `${JSON.stringify(one[0])} is ${what}${files.length > 1 ? `, and ${files.length - 1} more` : ''}`;
}
