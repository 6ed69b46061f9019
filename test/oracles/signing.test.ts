import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { exportModel } from '../../src/client/model-signing.ts';
import { putFolder } from '../../src/store/folders.ts';
import { putManifest } from '../../src/store/manifests.ts';
import { openStore } from '../../src/store/open.ts';
import { SignatureRefused } from '../../src/store/signing/errors.ts';
import { verifyFolder } from '../../src/store/signing/folder.ts';
import { signingKey, trustedKey } from '../../src/store/signing/keys.ts';
import { withSigning } from '../../src/store/signing/registry.ts';

const python = process.env.GOTO3_ORACLE_PYTHON;

describe(`oracle: signed models${python ? '' : ' (skipped; npm run test:oracles prepares it)'}`, function () {
  this.timeout(120_000);
  let root: string;
  const pair = () =>
    generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
  const ours = pair();
  const other = pair();
  const files = {
    'model.onnx': randomBytes(50_000),
    'signature.json': Buffer.from('{}'),
    'tokenizer/vocab.txt': randomBytes(2_000),
    'tokenizer-config.json': Buffer.from('{"a":1}'),
    'Zürich/ñ.bin': randomBytes(10),
  };
  const damages: Record<string, (folder: string) => Promise<void>> = {
    'a flipped bit': async (folder) => {
      const model = await readFile(join(folder, 'model.onnx'));
      model[1_000]! ^= 1;
      await writeFile(join(folder, 'model.onnx'), model);
    },
    'a missing file': (folder) => rm(join(folder, 'tokenizer', 'vocab.txt')),
    'an extra file': (folder) => writeFile(join(folder, 'tokenizer', 'extra.txt'), 'x'),
    'an appended byte': (folder) => appendFile(join(folder, 'signature.json'), ' '),
  };

  before(async function () {
    if (!python) this.skip();
    root = await mkdtemp(join(tmpdir(), 'goto3-oracle-signing-'));
    for (const [name, { publicKey, privateKey }] of Object.entries({ ours, other })) {
      await writeFile(join(root, `${name}.pub`), publicKey);
      await writeFile(join(root, `${name}.pem`), privateKey);
    }
  });
  after(async () => {
    if (root) await rm(root, { recursive: true, force: true });
  });

  const write = async (name: string): Promise<string> => {
    const folder = join(root, name);
    for (const [path, body] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), body);
    }
    return folder;
  };
  const theirs = async (what: 'sign' | 'verify', folder: string, key: string): Promise<string> => {
    const argv = [join(import.meta.dirname, 'signing.py'), what, folder, join(folder, 'model.sig'), join(root, key)];
    return (await promisify(execFile)(python!, argv, { timeout: 60_000 })).stdout.trim();
  };
  const copy = async (folder: string, name: string): Promise<string> => {
    await cp(folder, join(root, name), { recursive: true });
    return join(root, name);
  };

  it('model-signing verifies what the store exports, and refuses it damaged or by another key', async () => {
    const store = withSigning(await openStore(join(root, 'store'), { durability: 'fast' }), {
      required: true,
      trusted: [trustedKey(ours.publicKey, 'ours')],
      signWith: async () => signingKey(ours.privateKey, 'ours'),
    });
    const run = await store.blobs.put(Buffer.from('run'));
    const digest = await putManifest(store, {
      ...{ kind: 'Model', parents: [], createdAt: '2026-11-24T00:00:00.000Z', model: 'spam-filter', loop: 'spam' },
      ...{ cycle: 1, precision: 'fp32', sizeBytes: 50_000, run, dataset: run },
      files: await putFolder(store, await write('trained')),
      signature: {
        ...{ schema: 'goto3/signature/v1', task: 'binary-classification', labels: ['ham', 'spam'], output: 'p' },
        preprocessing: { kind: 'numeric', features: ['x'] },
      },
    });
    const folder = join(root, 'exported');
    assert.deepEqual(await exportModel(store, digest, folder), { signed: true });
    assert.equal(await theirs('verify', folder, 'ours.pub'), 'verified');
    assert.match(await theirs('verify', folder, 'other.pub'), /^refused: ValueError: Key mismatch/);
    for (const [what, damage] of Object.entries(damages)) {
      const damaged = await copy(folder, `exported with ${what}`);
      await damage(damaged);
      assert.match(await theirs('verify', damaged, 'ours.pub'), /^refused: ValueError: Signature mismatch/, what);
    }
    const forged = await copy(folder, 'forged');
    const bundle = JSON.parse(await readFile(join(forged, 'model.sig'), 'utf8')) as {
      dsseEnvelope: { payload: string };
    };
    const payload = Buffer.from(bundle.dsseEnvelope.payload, 'base64').toString().replace('spam-filter', 'spam-fi1ter');
    bundle.dsseEnvelope.payload = Buffer.from(payload).toString('base64');
    await writeFile(join(forged, 'model.sig'), JSON.stringify(bundle));
    assert.match(await theirs('verify', forged, 'ours.pub'), /^refused: InvalidSignature/);
  });

  it('we verify what model-signing signed, and refuse it damaged or by another key', async () => {
    const folder = await write('theirs');
    assert.equal(await theirs('sign', folder, 'ours.pem'), 'signed');
    const trusted = [trustedKey(ours.publicKey, 'ours')];
    const verify = async (at: string, by = trusted) =>
      await verifyFolder(await readFile(join(at, 'model.sig')), at, by);
    assert.equal((await verify(folder)).name, 'theirs');
    const [stranger] = [trustedKey(other.publicKey, 'other')];
    await assert.rejects(verify(folder, [stranger!]), SignatureRefused);
    for (const [what, damage] of Object.entries(damages)) {
      const damaged = await copy(folder, `theirs with ${what}`);
      await damage(damaged);
      await assert.rejects(verify(damaged), SignatureRefused, what);
    }
  });
});
