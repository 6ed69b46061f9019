import { strict as assert } from 'node:assert';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HubUnavailable } from '../../src/bases/errors.ts';
import { type ResolveOptions, resolveBase } from '../../src/bases/resolve.ts';
import { UnpinnedBase } from '../../src/bases/spec.ts';
import { failureTypes } from '../../src/contracts/failures.ts';
import { openEncoder } from '../../src/onnx/encoder/folder.ts';
import { InvalidInput, NotFound } from '../../src/store/errors.ts';
import { materialise } from '../../src/store/folders.ts';
import { lineage } from '../../src/store/lineage.ts';
import { openStore } from '../../src/store/open.ts';
import type { KeptStore } from '../../src/store/upkeep.ts';
import { verifyStore } from '../../src/store/verify.ts';
import { HubDouble } from '../doubles/hub.ts';
import { writeCheckpoint } from '../onnx/encoder/checkpoints.ts';
import { collect } from '../store/samples.ts';

describe('bases', () => {
  let root: string;
  let store: KeptStore;
  let hub: HubDouble;
  let options: ResolveOptions;
  let files: Record<string, Buffer>;
  let count = 0;

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'goto3-bases-'));
    await writeCheckpoint(join(root, 'checkpoint'), 'bert');
    const read = (name: string): Buffer => readFileSync(join(root, 'checkpoint', name));
    files = {
      'config.json': read('config.json'),
      'model.safetensors': read('model.safetensors'),
      'tokenizer.json': read('tokenizer.json'),
      'README.md': Buffer.from('---\nlicense: apache-2.0\n---\n# A small encoder'),
      '1_Pooling/config.json': Buffer.from('{"pooling_mode_mean_tokens": true}'),
      'pytorch_model.bin': Buffer.from('a pickle'),
      '.gitattributes': Buffer.from('*.safetensors filter=lfs'),
    };
  });
  beforeEach(async () => {
    store = await openStore(join(root, `store-${count++}`), { durability: 'fast' });
    hub = new HubDouble();
    await hub.start();
    options = { by: 'ann', hub: { url: hub.url }, now: () => new Date('2026-01-01T00:00:00Z') };
  });
  afterEach(() => hub.stop());
  after(() => rmSync(root, { recursive: true }));

  const kept = ['1_Pooling/config.json', 'README.md', 'config.json', 'model.safetensors', 'tokenizer.json'];

  it('brings a hub base into the store: files, licence, source; an encoder opens from it', async () => {
    const commit = hub.push('owner/Small-Encoder', files);
    const progress: string[] = [];
    const { digest, base } = await resolveBase(store, `hub:owner/Small-Encoder@${commit}`, {
      ...options,
      onProgress: ({ path, fetched }) => progress.push(`${path} ${fetched}`),
    });
    assert.deepEqual(
      base.files.map(({ path }) => path),
      kept,
    );
    assert.deepEqual(
      progress,
      kept.map((path) => `${path} true`),
    );
    assert.equal(base.license, 'apache-2.0');
    assert.equal(base.modelType, 'bert');
    assert.equal(base.source, `hub:owner/Small-Encoder@${commit}`);
    assert.equal(
      base.sizeBytes,
      kept.reduce((sum, path) => sum + files[path]!.length, 0),
    );
    const folder = join(root, 'materialised');
    await materialise(store, base.files, folder);
    for (const path of kept) assert.deepEqual(readFileSync(join(folder, path)), files[path]);
    openEncoder(folder).close();
    assert.deepEqual((await verifyStore(store)).problems, []);
    const [node] = await collect(lineage(store, digest));
    assert.match(
      node && 'summary' in node ? node.summary : '',
      /hub:owner\/Small-Encoder@[0-9a-f]{40}, bert, \d+ bytes, licence apache-2.0/,
    );
  });

  it('fetches a hub base once, and answers without the hub afterwards', async () => {
    const commit = hub.push('owner/name', files);
    const first = await resolveBase(store, `hub:owner/name@${commit}`, options);
    const asked = hub.requests.length;
    hub.faults.push({ path: /./, kind: 'status', status: 503, times: 100 });
    assert.deepEqual(await resolveBase(store, `hub:owner/name@${commit}#${first.base.content}`, options), first);
    assert.deepEqual(await resolveBase(store, `store:${first.digest}`, options), {
      digest: first.digest,
      base: first.base,
    });
    assert.equal(hub.requests.length, asked);
  });

  it('says which commit to write when there is none', async () => {
    const commit = hub.push('owner/name', files);
    for (const revision of ['', '@main']) {
      await assert.rejects(
        resolveBase(store, `hub:owner/name${revision}`, options),
        (error) =>
          error instanceof UnpinnedBase && error.message.includes(`write hub:owner/name@${commit}, which main is now`),
      );
    }
    // Without an answer of the hub it says where to look.
    hub.faults.push({ path: /./, kind: 'status', status: 503, times: 100 });
    await assert.rejects(
      resolveBase(store, 'hub:owner/name', options),
      /one of https:\/\/huggingface.co\/owner\/name\/commits\/main/,
    );
  });

  it('goes on where a fetch ended, without the large files that it has', async () => {
    const commit = hub.push('owner/name', files);
    hub.faults.push({ path: /tokenizer.json$/, kind: 'status', status: 503, times: 100 });
    await assert.rejects(resolveBase(store, `hub:owner/name@${commit}`, options), HubUnavailable);
    hub.faults.length = 0;
    hub.downloads.length = 0;
    await resolveBase(store, `hub:owner/name@${commit}`, options);
    assert.ok(hub.downloads.includes('tokenizer.json'));
    assert.ok(!hub.downloads.some((path) => path.startsWith('/large/')), 'the weights were fetched twice');
  });

  it('tells what another try may repair from what it cannot', async () => {
    const commit = hub.push('owner/name', files);
    const fails = async (fault: Partial<HubDouble['faults'][number]>, message: RegExp): Promise<void> => {
      hub.faults.splice(0, Infinity, { path: /./, kind: 'status', times: 100, ...fault });
      const hubOptions = { url: hub.url, stallMs: 300 };
      await assert.rejects(resolveBase(store, `hub:owner/name@${commit}`, { ...options, hub: hubOptions }), (error) => {
        assert.ok(error instanceof HubUnavailable, String(error));
        assert.equal(error.type, failureTypes.hubUnavailable);
        assert.match(error.message, message);
        return true;
      });
      hub.faults.length = 0;
    };
    await fails({ status: 503 }, /the hub answered 503/);
    await fails({ status: 429 }, /the hub answered 429/);
    await fails({ kind: 'stall' }, /nothing arrived for 300 ms/);
    await fails(
      { kind: 'wrongBytes', path: /config.json$/ },
      /config.json: its bytes hash to [0-9a-f]{40}, the hub promised/,
    );
    await fails(
      { kind: 'wrongBytes', path: /^.large/ },
      /model.safetensors: its bytes hash to [0-9a-f]{64}, the hub promised/,
    );
    await fails({ kind: 'cut', path: /^.large/ }, /model.safetensors: /);
    const invalid = async (text: string, message: RegExp): Promise<void> => {
      await assert.rejects(
        resolveBase(store, text, options),
        (error) => error instanceof InvalidInput && message.test(error.message),
      );
    };
    await invalid(`hub:owner/name@${'0'.repeat(40)}`, /the hub does not know it/);
    await invalid(`hub:owner/other@${commit}`, /the hub refuses \(401\)/);
    const { 'config.json': _config, ...without } = files;
    await invalid(`hub:owner/a@${hub.push('owner/a', without)}`, /it has no config.json/);
    const pickled = { 'config.json': files['config.json']!, 'pytorch_model.bin': 'a pickle' };
    await invalid(
      `hub:owner/b@${hub.push('owner/b', pickled)}`,
      /only pickled ones \(pytorch_model.bin\), which run code/,
    );
    const listed = { ...files, 'config.json': '[]' };
    await invalid(`hub:owner/c@${hub.push('owner/c', listed)}`, /config.json: expected an object with a model_type/);
    await invalid(
      `hub:owner/name@${commit}#sha256:${'0'.repeat(64)}`,
      /its content is sha256:[0-9a-f]+, expected sha256:0+/,
    );
  });

  it('reads gated repositories with a token, and never shows it', async () => {
    const commit = hub.push('owner/gated', files, 'hf_secret');
    const text = `hub:owner/gated@${commit}`;
    for (const accessToken of [undefined, 'hf_wrong']) {
      const hubOptions = { url: hub.url, ...(accessToken && { accessToken }) };
      await assert.rejects(resolveBase(store, text, { ...options, hub: hubOptions }), (error) => {
        assert.ok(error instanceof InvalidInput);
        assert.match(error.message, /the hub refuses \(40[13]\).*access token/);
        assert.ok(!error.message.includes('hf_'));
        return true;
      });
    }
    await resolveBase(store, text, { ...options, hub: { url: hub.url, accessToken: 'hf_secret' } });
    // Large files come from another host, which has no business with the token.
    const elsewhere = hub.requests.filter(({ path }) => path.startsWith('/large/'));
    assert.ok(elsewhere.length > 0 && elsewhere.every(({ token }) => token === undefined));
  });

  it('stops when it is told to', async () => {
    const commit = hub.push('owner/name', files);
    hub.faults.push({ path: /./, kind: 'stall', times: 100 });
    const controller = new AbortController();
    const resolving = resolveBase(store, `hub:owner/name@${commit}`, {
      ...options,
      hub: { url: hub.url, signal: controller.signal },
    });
    const stopped = assert.rejects(resolving, /told to stop/);
    while (hub.requests.length === 0) await new Promise(setImmediate);
    controller.abort(new Error('told to stop'));
    await stopped;
  });

  it('gives two who ask at once the same manifest', async () => {
    const commit = hub.push('owner/name', files);
    let second = 0;
    const ask = (): ReturnType<typeof resolveBase> =>
      resolveBase(store, `hub:owner/name@${commit}`, {
        ...options,
        now: () => new Date(Date.UTC(2026, 0, 1, 0, 0, second++)),
      });
    const [one, two] = await Promise.all([ask(), ask()]);
    assert.deepEqual(one, two);
  });

  it('takes a folder, also one of links as the hub cache makes them, and checks its content', async () => {
    const folder = join(root, `folder-${count}`);
    mkdirSync(folder);
    for (const name of ['config.json', 'model.safetensors', 'tokenizer.json']) {
      symlinkSync(join(root, 'checkpoint', name), join(folder, name));
    }
    writeFileSync(join(folder, 'LICENSE.txt'), 'Do as you like.');
    writeFileSync(join(folder, 'notes.txt'), 'not a part');
    const { base } = await resolveBase(store, `folder:${folder}`, options);
    assert.deepEqual(
      base.files.map(({ path }) => path),
      ['LICENSE.txt', 'config.json', 'model.safetensors', 'tokenizer.json'],
    );
    assert.equal(base.license, 'LICENSE.txt');
    const pinned = `folder:${folder}#${base.content}`;
    assert.equal((await resolveBase(store, pinned, options)).base.content, base.content);
    writeFileSync(join(folder, 'LICENSE.txt'), 'Do as we like.');
    await assert.rejects(resolveBase(store, pinned, options), /its content is .*, expected/);
    await assert.rejects(resolveBase(store, `folder:${folder}/none`, options), /expected a folder/);
  });

  it('refuses a store base that is not there or is something else', async () => {
    await assert.rejects(resolveBase(store, `store:sha256:${'0'.repeat(64)}`, options), NotFound);
    const other = await store.blobs.put(Buffer.from('{"kind":"Run"}'));
    await assert.rejects(resolveBase(store, `store:${other}`, options), /expected a Base manifest, found "Run"/);
  });
});
