import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import type { Digest } from '../../../src/contracts/digest.ts';
import { refNames } from '../../../src/contracts/names.ts';
import { getManifest, type ManifestOf, putManifest } from '../../../src/store/manifests.ts';
import { openStore } from '../../../src/store/open.ts';
import { SignatureRefused } from '../../../src/store/signing/errors.ts';
import { type SigningKey, signingKey } from '../../../src/store/signing/keys.ts';
import { recordSignature, type SigningRules, withSigning } from '../../../src/store/signing/registry.ts';
import type { KeptStore } from '../../../src/store/upkeep.ts';
import { bytes, collect, openedManifest, temporaryFolder } from '../samples.ts';

const newKey = (): SigningKey =>
  signingKey(
    generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'sec1', format: 'pem' },
    }).privateKey,
    'test key',
  );

describe('models in a store with a signing policy', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let plain: KeptStore;
  let made = 0;
  const [ours, older, theirs] = [newKey(), newKey(), newKey()];
  const rules = (signer?: SigningKey): SigningRules => ({
    required: true,
    trusted: [ours, older],
    ...(signer && { signWith: async () => signer }),
  });

  before(async () => {
    folder = await temporaryFolder();
    plain = await openStore(folder.path, { durability: 'fast' });
  });
  after(() => folder.remove());

  const model = async (): Promise<ManifestOf<'Model'>> => {
    const file = await plain.blobs.put(bytes(`weights ${++made}`));
    return {
      ...{
        kind: 'Model',
        parents: [],
        createdAt: '2002-08-01T00:00:00.000Z',
        model: 'spam',
        loop: 'spam',
        cycle: made,
      },
      ...{ precision: 'fp32', sizeBytes: 9, run: file, dataset: file },
      files: [{ path: 'model.onnx', digest: file, sizeBytes: 9 }],
      signature: {
        ...{ schema: 'goto3/signature/v1', task: 'binary-classification', labels: ['ham', 'spam'], output: 'p' },
        preprocessing: { kind: 'numeric', features: ['x'] },
      },
    };
  };
  const verifier = () => withSigning(plain, rules());
  const entries = (digest: Digest) => collect(plain.refs.history(refNames.signature(digest.slice(7, 47))));
  const refuses = async (digest: Digest, why: RegExp): Promise<void> =>
    await assert.rejects(
      getManifest(verifier(), digest, 'Model'),
      (error: Error) => error instanceof SignatureRefused && error.message.includes(digest) && why.test(error.message),
    );

  it('are signed when they are put, and verified when they are got', async () => {
    const manifest = await model();
    const digest = await putManifest(withSigning(plain, rules(ours)), manifest);
    assert.deepEqual(await getManifest(verifier(), digest, 'Model'), manifest);
  });

  it('are refused without a signature, by name and cycle; without a policy they are read as before', async () => {
    const manifest = await model();
    const digest = await putManifest(plain, manifest);
    await refuses(digest, new RegExp(`spam from cycle spam/${made}\\): it is not signed`));
    assert.deepEqual(await getManifest(plain, digest, 'Model'), manifest);
    const lenient = withSigning(plain, { required: false, trusted: [] });
    assert.deepEqual(await getManifest(lenient, digest, 'Model'), manifest);
  });

  it('are refused when signed by a key that is not trusted', async () => {
    await refuses(await putManifest(withSigning(plain, rules(theirs)), await model()), /not trusted/);
  });

  it("are refused under another model's signature, and under a manifest that was changed after it was signed", async () => {
    const manifest = await model();
    const signed = await putManifest(withSigning(plain, rules(ours)), manifest);
    const changed = await putManifest(plain, {
      ...manifest,
      signature: { ...manifest.signature, labels: ['spam', 'ham'] },
    });
    const [entry] = await entries(signed);
    await plain.refs.append(refNames.signature(changed.slice(7, 47)), entry!.digest, {
      ...{ operation: 'stolen', by: 'mallory', reason: 'a signature is only bytes' },
    });
    await refuses(changed, /"goto3.manifest.json" is changed/);
  });

  it('go on under an older trusted key, and are signed once by each', async () => {
    const manifest = await model();
    const digest = await putManifest(withSigning(plain, rules(older)), manifest);
    assert.ok(await getManifest(verifier(), digest, 'Model'));
    for (const key of [ours, older, ours, theirs]) await recordSignature(plain, digest, manifest, key);
    assert.equal((await entries(digest)).length, 3);
    // The newest is of nobody who is trusted; one that is vouches still.
    assert.ok(await getManifest(verifier(), digest, 'Model'));
  });

  it('are no concern of other manifests', async () => {
    const opened = openedManifest(1);
    const digest = await putManifest(withSigning(plain, rules(ours)), opened);
    assert.equal((await entries(digest)).length, 0);
    assert.ok(await getManifest(verifier(), digest, 'CycleOpened'));
  });
});
