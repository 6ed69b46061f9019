import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import type { Digest } from '../../../src/contracts/digest.ts';
import { InvalidSigning, SignatureRefused } from '../../../src/store/signing/errors.ts';
import { signingKey, trustedKey } from '../../../src/store/signing/keys.ts';
import { signModel, verifyModel } from '../../../src/store/signing/model.ts';
import type { SignedFile } from '../../../src/store/signing/statement.ts';

const pemPair = (namedCurve = 'P-256') =>
  generateKeyPairSync('ec', {
    namedCurve,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
const ours = pemPair();
const key = signingKey(ours.privateKey, 'our key');
const trusted = [trustedKey(ours.publicKey, 'our key')];
const digestOf = (text: string): Digest => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const files: SignedFile[] = ['model.onnx', 'signature.json', 'tokenizer/vocab.txt'].map((path) => ({
  path,
  digest: digestOf(path),
}));

interface BundleJson {
  verificationMaterial: { publicKey: { hint?: string } };
  dsseEnvelope: { payload: string; signatures: { sig: string; keyid: string }[] };
}
const json = (bundle: Uint8Array): BundleJson => JSON.parse(Buffer.from(bundle).toString()) as BundleJson;
const bytes = (bundle: unknown): Uint8Array => Buffer.from(JSON.stringify(bundle));
const refused = (bundle: Uint8Array, found: readonly SignedFile[], why: RegExp, by = trusted): void =>
  assert.throws(
    () => verifyModel(bundle, found, by),
    (error: unknown) =>
      error instanceof SignatureRefused && error.type === 'SignatureRefused' && why.test(error.message),
  );

describe('signed models', () => {
  const bundle = signModel('spam-filter', files, key);

  it('are vouched for by the key that signed them, in whatever order the files come', () => {
    assert.deepEqual(verifyModel(bundle, files.toReversed(), trusted), {
      name: 'spam-filter',
      signer: trusted[0]!.fingerprint,
    });
  });

  it('are refused when a file is changed, missing, more, or renamed', () => {
    const [model, ...rest] = files as [SignedFile, ...SignedFile[]];
    refused(bundle, [{ ...model, digest: digestOf('another') }, ...rest], /"model.onnx" is changed/);
    refused(bundle, rest, /"model.onnx" is missing/);
    refused(bundle, [...files, { path: 'extra.bin', digest: digestOf('x') }], /"extra.bin" is not signed/);
    refused(bundle, [{ ...model, path: 'Model.onnx' }, ...rest], /missing.*not signed/);
    refused(bundle, [], /missing, and 2 more/);
  });

  it('are refused when signed by another key, also one that claims to be the trusted one', () => {
    const theirs = signingKey(pemPair().privateKey, 'their key');
    const forged = json(signModel('spam-filter', files, theirs));
    refused(bytes(forged), files, /not trusted/);
    forged.verificationMaterial.publicKey.hint = trusted[0]!.fingerprint;
    refused(bytes(forged), files, /does not hold/);
    delete forged.verificationMaterial.publicKey.hint;
    refused(bytes(forged), files, /does not hold/);
    refused(bundle, files, /not trusted/, []);
  });

  it('are refused when any byte of what is signed, or of the signature, is flipped', () => {
    fc.assert(
      fc.property(fc.constantFrom('payload', 'sig'), fc.nat(), fc.integer({ min: 0, max: 7 }), (part, at, bit) => {
        const changed = json(bundle);
        const flipped = Buffer.from(
          part === 'payload' ? changed.dsseEnvelope.payload : changed.dsseEnvelope.signatures[0]!.sig,
          'base64',
        );
        flipped[at % flipped.length]! ^= 1 << bit;
        const text = flipped.toString('base64');
        if (part === 'payload') changed.dsseEnvelope.payload = text;
        else changed.dsseEnvelope.signatures[0]!.sig = text;
        assert.throws(() => verifyModel(bytes(changed), files, trusted), SignatureRefused);
      }),
      { numRuns: 300 },
    );
  });

  it('are refused when the bundle is no bundle of ours, whatever it is', () => {
    const good = json(bundle);
    const bad: unknown[] = [
      null,
      [],
      {},
      { ...good, mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.2' },
      { ...good, verificationMaterial: { certificate: { rawBytes: '' } } },
      { ...good, dsseEnvelope: { ...good.dsseEnvelope, payloadType: 'text/plain' } },
      { ...good, dsseEnvelope: { ...good.dsseEnvelope, signatures: [] } },
      {
        ...good,
        dsseEnvelope: { ...good.dsseEnvelope, signatures: [...good.dsseEnvelope.signatures, { sig: 'AA==' }] },
      },
    ];
    for (const document of bad) refused(bytes(document), files, /^signature, /);
    refused(Buffer.from('{'), files, /expected JSON/);
    refused(Buffer.from([0xff, 0xfe]), files, /expected UTF-8/);
  });

  it('have no names that could mean a file elsewhere, or the signature itself', () => {
    for (const path of ['../x', '/x', 'a//b', 'a/./b', '', 'a\\b', 'model.sig'])
      assert.throws(() => signModel('m', [{ path, digest: digestOf('x') }], key), InvalidSigning, path);
    assert.throws(() => signModel('m', [], key), InvalidSigning);
    assert.throws(() => signModel('m', [...files, files[0]!], key), InvalidSigning);
  });

  it('may be signed on P-384 and P-521 too, and on no other curve', () => {
    for (const curve of ['P-384', 'P-521']) {
      const pair = pemPair(curve);
      const signed = signModel('m', files, signingKey(pair.privateKey, curve));
      assert.equal(verifyModel(signed, files, [trustedKey(pair.publicKey, curve)]).name, 'm');
    }
    assert.throws(() => signingKey(pemPair('secp256k1').privateKey, 'k1'), /k1: expected a key on P-256/);
    const { publicKey } = generateKeyPairSync('ed25519', {
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    assert.throws(() => trustedKey(publicKey, 'ed'), InvalidSigning);
  });

  it('need a public key to be trusted: a private one in its place is refused, and not shown', () => {
    assert.throws(
      () => trustedKey(ours.privateKey, 'keys/release.pub'),
      (error: Error) =>
        /keys\/release.pub: expected a public key/.test(error.message) && !error.message.includes('BEGIN'),
    );
    assert.throws(() => trustedKey('hello', 'a.pub'), /a.pub: expected a PEM key/);
  });
});
