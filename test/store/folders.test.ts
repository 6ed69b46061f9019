import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { link, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ArtifactFile } from '../../src/contracts/digest.ts';
import { digestOf } from '../../src/store/canonical-json.ts';
import { CorruptBlob, InvalidInput, NotFound } from '../../src/store/errors.ts';
import { materialise, putFolder } from '../../src/store/folders.ts';
import { openStore } from '../../src/store/open.ts';
import type { KeptStore } from '../../src/store/upkeep.ts';
import { bytes, digestOfDigit, someBytes, temporaryFolder } from './samples.ts';

describe('folders', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let store: KeptStore;
  let source: string;
  let target: string;
  beforeEach(async () => {
    folder = await temporaryFolder();
    store = await openStore(join(folder.path, 'store'), { durability: 'fast' });
    [source, target] = [join(folder.path, 'source'), join(folder.path, 'target')];
    await mkdir(join(source, 'nested/deep'), { recursive: true });
  });
  afterEach(() => folder.remove());

  it('go into the store and come out the same', async () => {
    const weights = someBytes(300_000);
    await writeFile(join(source, 'model.onnx'), weights);
    await writeFile(join(source, 'nested/deep/empty'), '');
    await writeFile(join(source, 'nested/ü name'), 'text');
    const files = await putFolder(store, source);
    assert.deepEqual(files, [
      { path: 'model.onnx', digest: digestOf(weights), sizeBytes: 300_000 },
      { path: 'nested/deep/empty', digest: digestOf(''), sizeBytes: 0 },
      { path: 'nested/ü name', digest: digestOf('text'), sizeBytes: 4 },
    ]);
    await materialise(store, files, target);
    assert.deepEqual(await putFolder(store, target), files);
    assert.deepEqual(new Uint8Array(await readFile(join(target, 'model.onnx'))), weights);
  });

  it('leave out what they are told to, with all below it, even what cannot be stored', async () => {
    await mkdir(join(source, '.venv/bin'), { recursive: true });
    await symlink('/usr/bin/python3', join(source, '.venv/bin/python'));
    await writeFile(join(source, 'train.py'), 'pass');
    const files = await putFolder(store, source, (name) => name.startsWith('.'));
    assert.deepEqual(
      files.map(({ path }) => path),
      ['train.py'],
    );
  });

  it('keep right files, repair wrong ones, and leave others alone', async () => {
    await writeFile(join(source, 'right'), 'right');
    await writeFile(join(source, 'short'), 'short');
    await writeFile(join(source, 'wrong'), 'wrong');
    const files = await putFolder(store, source);
    await materialise(store, files, target);
    const before = await stat(join(target, 'right'));
    await writeFile(join(target, 'short'), 'sho');
    await writeFile(join(target, 'wrong'), 'wronG');
    await writeFile(join(target, 'mine'), 'mine');
    await materialise(store, files, target);
    assert.equal((await stat(join(target, 'right'))).ino, before.ino);
    assert.equal(await readFile(join(target, 'short'), 'utf8'), 'short');
    assert.equal(await readFile(join(target, 'wrong'), 'utf8'), 'wrong');
    assert.deepEqual((await readdir(target)).sort(), ['mine', 'right', 'short', 'wrong']);
  });

  const notPlain: [string, (path: string) => Promise<void> | void, RegExp][] = [
    ['a symbolic link to a file', (path) => symlink('/etc/hostname', path), /"nested\/odd".*symbolic link/],
    ['a symbolic link to a folder', (path) => symlink('/etc', path), /symbolic link/],
    ['a hard link', (path) => link(join(folder.path, 'outside'), path), /2 hard links.*store a copy/],
    ['a pipe', (path) => void execFileSync('mkfifo', [path]), /pipe/],
  ];
  for (const [name, make, message] of notPlain)
    it(`refuse ${name}`, async () => {
      await writeFile(join(folder.path, 'outside'), 'outside');
      await make(join(source, 'nested/odd'));
      await assert.rejects(putFolder(store, source), (error: unknown) => {
        return error instanceof InvalidInput && message.test(error.message);
      });
    });

  it('refuse names that an artifact cannot have', async () => {
    await writeFile(join(source, 'a\\b'), '');
    await assert.rejects(putFolder(store, source), InvalidInput);
  });

  const file = (path: string): ArtifactFile => ({ path, digest: digestOf('x'), sizeBytes: 1 });
  const unsafe: [string, ArtifactFile[]][] = [
    ['a path that leaves the folder', [file('../escaped')]],
    ['a path that leaves it further in', [file('a/../../escaped')]],
    ['an absolute path', [file('/tmp/escaped')]],
    ['an empty path', [file('')]],
    ['a path with a NUL', [file('a\u0000b')]],
    ['a path twice', [file('a'), file('a')]],
    ['a file that is also a folder', [file('a/b/c'), file('a/b')]],
    ['a digest that is none', [{ ...file('a'), digest: 'latest' as ArtifactFile['digest'] }]],
  ];
  for (const [name, files] of unsafe)
    it(`write nothing for ${name}`, async () => {
      await store.blobs.put(bytes('x'));
      await assert.rejects(materialise(store, [file('first'), ...files], target), InvalidInput);
      await assert.rejects(stat(target), /ENOENT/);
      assert.deepEqual((await readdir(folder.path)).sort(), ['source', 'store']);
    });

  it('are not written through a symbolic link', async () => {
    await store.blobs.put(bytes('x'));
    await mkdir(target);
    await mkdir(join(folder.path, 'elsewhere'));
    await symlink(join(folder.path, 'elsewhere'), join(target, 'a'));
    await assert.rejects(materialise(store, [file('a/b')], target), InvalidInput);
    assert.deepEqual(await readdir(join(folder.path, 'elsewhere')), []);
    // A link in a file's place is replaced, what it points to is not touched.
    await writeFile(join(folder.path, 'elsewhere/kept'), 'kept');
    await symlink(join(folder.path, 'elsewhere/kept'), join(target, 'c'));
    await materialise(store, [file('c')], target);
    assert.equal(await readFile(join(target, 'c'), 'utf8'), 'x');
    assert.equal(await readFile(join(folder.path, 'elsewhere/kept'), 'utf8'), 'kept');
  });

  it('show no file whose bytes are missing or damaged', async () => {
    await assert.rejects(materialise(store, [{ ...file('a'), digest: digestOfDigit('0') }], target), NotFound);
    const digest = await store.blobs.put(bytes('x'));
    await writeFile(join(folder.path, 'store/blobs', digest.slice(7, 9), digest.slice(7)), 'y');
    await assert.rejects(materialise(store, [file('a')], target), CorruptBlob);
    assert.deepEqual(await readdir(target), []);
  });
});
