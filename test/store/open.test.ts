import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf } from '../../src/store/canonical-json.ts';
import { InvalidInput, NotFound } from '../../src/store/errors.ts';
import { openStore } from '../../src/store/open.ts';
import { bytes, collect, digestOfDigit, temporaryFolder } from './samples.ts';

describe('openStore', () => {
  it('takes a file URL or an absolute path for the same store', async () => {
    const folder = await temporaryFolder();
    const byPath = await openStore(`${folder.path}/a store`);
    const byUrl = await openStore(byPath.url);
    assert.match(byPath.url, /^file:\/\/\/.*\/a%20store$/);
    assert.equal(byUrl.url, byPath.url);
    const digest = await byPath.blobs.put(bytes('x'));
    assert.equal(digest, digestOf('x'));
    assert.equal(await byUrl.blobs.has(digest), true);
    await folder.remove();
  });

  for (const bad of [
    'https://example.org/store',
    'store',
    './store',
    '',
    'file://host/store',
    'file:store',
    'file:///a/%2e%2e%2fb',
    'file:///store#part',
    'file:///store?x=1',
    'file:///a%00b',
  ])
    it(`refuses ${JSON.stringify(bad)} and says what it takes`, async () => {
      await assert.rejects(openStore(bad), (error: unknown) => {
        return error instanceof InvalidInput && error.message.includes('file:///absolute/path');
      });
    });

  it('refuses a folder with another layout', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder.path, 'store.json'), '{"schema":"goto3/store/v2"}');
    await assert.rejects(openStore(folder.path), /goto3\/store\/v1.*found.*goto3\/store\/v2/);
    await folder.remove();
  });

  it('says NotFound, not EACCES or a crash, for blobs of an empty store', async () => {
    const folder = await temporaryFolder();
    const store = await openStore(folder.path);
    await assert.rejects(store.blobs.get(digestOfDigit('0')), NotFound);
    assert.deepEqual(await collect(store.refs.list('')), []);
    await folder.remove();
  });
});
