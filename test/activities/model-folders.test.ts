import assert from 'node:assert/strict';
import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ModelFolders } from '../../src/activities/model-folders.ts';
import { fileDigest } from '../../src/store/file-digest.ts';
import { House } from './house.ts';

describe('folders of models', () => {
  let house: House;
  let root: string;
  let folders: ModelFolders;
  beforeEach(async () => {
    house = await House.open();
    root = join(house.folder, 'cache');
    folders = new ModelFolders(house.store, root);
  });
  afterEach(() => house.close());

  it('are checked on every use: what was changed is fetched again', async () => {
    const digest = await house.model(Buffer.from('the model'));
    const { folder, model } = await folders.open(digest);
    await writeFile(join(folder, 'model.onnx'), 'the MODEL');
    await folders.open(digest);
    const [onnx] = model.files;
    assert.equal(await fileDigest(join(folder, onnx!.path)), onnx!.digest);
  });

  it('are kept as long as they are used, and no more than a few', async () => {
    const first = await house.model(Buffer.from('model 0'));
    const opened = [await folders.open(first)];
    for (let n = 1; n <= 30; n += 1) {
      const { folder } = await folders.open(await house.model(Buffer.from(`model ${n}`)));
      // A day older each, as if the loop had run for a month.
      const lastUsed = new Date(Date.now() - (31 - n) * 86_400_000);
      await utimes(folder, lastUsed, lastUsed);
      await folders.open(first);
    }
    const names = await readdir(root);
    assert.equal(names.length, 24);
    assert.ok(names.includes(opened[0]!.folder.slice(root.length + 1)), 'the one that is used every day');
  });
});
