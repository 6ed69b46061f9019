import type { Digest } from '../../contracts/digest.ts';
import type { Model } from '../../contracts/manifests.ts';
import { refNames } from '../../contracts/names.ts';
import type { ModelSigning, Store } from '../types.ts';
import type { KeptStore } from '../upkeep.ts';
import { SignatureRefused } from './errors.ts';
import type { SigningKey, TrustedKey } from './keys.ts';
import { signModel, type VerifiedModel, verifyModel } from './model.ts';
import type { SignedFile } from './statement.ts';

/** Who may vouch for models, and whether somebody must. */
export interface SigningRules {
  readonly required: boolean;
  readonly trusted: readonly TrustedKey[];
  /** The key for models that this process makes; asked for when one is made. */
  readonly signWith?: () => Promise<SigningKey>;
}

/** The manifest's name among the files of a signed model. */
export const manifestFile = 'goto3.manifest.json';

/** More signatures than this on one model are a mistake. */
const signaturesLooked = 32;

/** The same store, whose models are signed when they are put and verified when they are got. */
export const withSigning = (store: KeptStore, rules: SigningRules | undefined): KeptStore =>
  rules ? { ...store, signing: createModelSigning(store, rules) } : store;

function createModelSigning(store: Pick<Store, 'blobs' | 'refs'>, rules: SigningRules): ModelSigning {
  return {
    async sign(digest, model) {
      if (rules.signWith) await recordSignature(store, digest, model, await rules.signWith());
    },
    async verify(digest, model) {
      if (rules.required) await verifyStored(store, digest, model, rules.trusted);
    },
  };
}

/** The files that a signature of a model covers: its own, and its manifest, by which everything else calls it. */
export const signedFiles = (digest: Digest, { files }: Model): SignedFile[] => [
  ...files,
  { path: manifestFile, digest },
];

/** Signs a model of the store. Signed a second time with the same key, it has the first signature. @throws InvalidSigning */
export async function recordSignature(
  { blobs, refs }: Pick<Store, 'blobs' | 'refs'>,
  digest: Digest,
  model: Model,
  key: SigningKey,
): Promise<void> {
  const bundle = await blobs.put(signModel(model.model, signedFiles(digest, model), key));
  await refs.append(signatureRef(digest), bundle, {
    operation: `sign ${key.fingerprint}`,
    by: `key ${key.fingerprint}`,
    reason: `${model.model} from cycle ${model.loop}/${model.cycle}`,
  });
}

/** That a trusted key vouches for a model of the store. @throws SignatureRefused that names the model and what was found */
export async function verifyStored(
  store: Pick<Store, 'blobs' | 'refs'>,
  digest: Digest,
  model: Model,
  trusted: readonly TrustedKey[],
): Promise<VerifiedModel> {
  const reasons: string[] = [];
  for await (const bundle of signatures(store, digest)) {
    try {
      return verifyModel(bundle, signedFiles(digest, model), trusted);
    } catch (error) {
      if (!(error instanceof SignatureRefused)) throw error;
      reasons.push(error.message);
    }
  }
  throw new SignatureRefused(
    `model ${digest} (${model.model} from cycle ${model.loop}/${model.cycle}): ${reasons.join('; ') || 'it is not signed'}`,
  );
}

/** Newest first. */
export async function* signatures(
  { blobs, refs }: Pick<Store, 'blobs' | 'refs'>,
  digest: Digest,
): AsyncIterable<Uint8Array> {
  let looked = 0;
  for await (const entry of refs.history(signatureRef(digest))) {
    yield await blobs.read(entry.digest);
    looked += 1;
    if (looked === signaturesLooked) return;
  }
}

const signatureRef = (digest: Digest): string =>
  refNames.signature(digest.slice('sha256:'.length, 'sha256:'.length + 40));
