import assert from 'node:assert/strict';
import { InvalidInput } from '../../src/store/errors.ts';
import type { Store } from '../../src/store/types.ts';
import { capture, collect } from './samples.ts';

export function capturesConform(store: () => Store, again: () => Promise<Store>): void {
  const ids = (page: { records: { inferenceId: string }[] }): string[] => page.records.map((r) => r.inferenceId);

  it('reads on from a cursor', async () => {
    const log = store().captures;
    assert.deepEqual(ids(await log.read('cursor')), []);
    await log.append('cursor', 'r1', [capture('1'), capture('2')]);
    const page = await log.read('cursor');
    assert.deepEqual(page.records, [capture('1'), capture('2')]);
    assert.deepEqual(await log.read('cursor', page.cursor), { records: [], cursor: page.cursor });
    await log.append('cursor', 'r1', [capture('3')]);
    assert.deepEqual(ids(await log.read('cursor', page.cursor)), ['3']);
    assert.deepEqual(ids(await log.read('cursor')), ['1', '2', '3']);
  });

  it('shows a replica that starts after the cursor was made', async () => {
    const log = store().captures;
    await log.append('late', 'r2', [capture('1')]);
    const { cursor } = await log.read('late');
    await log.append('late', 'r1', [capture('2')]);
    assert.deepEqual(ids(await log.read('late', cursor)), ['2']);
  });

  it('keeps to about its limit and hides no replica behind a busy one', async () => {
    const log = store().captures;
    for (let i = 0; i < 10; i += 1) await log.append('fair', 'busy', [capture(`busy-${i}`)]);
    await log.append('fair', 'quiet', [capture('quiet')]);
    const page = await log.read('fair', undefined, 4);
    assert.ok(ids(page).includes('quiet'));
    assert.ok(page.records.length >= 4 && page.records.length <= 5, `${page.records.length} records`);
    const rest = await log.read('fair', page.cursor);
    assert.equal(new Set([...ids(page), ...ids(rest)]).size, 11);
  });

  it('goes on with its numbers after a restart, and loses nothing to a twin', async () => {
    const [one, two] = [await again(), await again()];
    await store().captures.append('twin', 'r1', [capture('before')]);
    const { cursor } = await store().captures.read('twin');
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        (i % 2 === 0 ? one : two).captures.append('twin', 'r1', [capture(String(i))]),
      ),
    );
    const seen = ids(await store().captures.read('twin', cursor));
    assert.deepEqual(seen.toSorted(), Array.from({ length: 20 }, (_, i) => String(i)).toSorted());
  });

  it('gives a reader that races with a writer every record once and in order', async () => {
    const writer = await again();
    let written = false;
    const writing = (async () => {
      for (let i = 0; i < 150; i += 1) await writer.captures.append('racing', 'r1', [capture(String(i))]);
      written = true;
    })();
    const seen: string[] = [];
    let cursor: string | undefined;
    for (let last = false; !last; ) {
      last = written;
      const page = await store().captures.read('racing', cursor, 7);
      seen.push(...ids(page));
      cursor = page.cursor;
      if (page.records.length > 0) last = false;
    }
    await writing;
    assert.deepEqual(
      seen,
      Array.from({ length: 150 }, (_, i) => String(i)),
    );
  });

  it('finds records by their ids, of every replica, and since a time', async () => {
    const log = store().captures;
    for (let i = 0; i < 30; i += 1)
      await log.append('find', i % 2 === 0 ? 'r1' : 'r2', [
        { ...capture(`id-${i}`), timeMs: 1_000 + i },
        { ...capture('often'), timeMs: 2_000 + i },
      ]);
    const find = async (wanted: string[], sinceMs?: number): Promise<string[]> =>
      (await collect(log.find('find', new Set(wanted), sinceMs))).map((r) => r.inferenceId).sort();
    assert.deepEqual(await find(['id-3', 'id-8', 'id-99']), ['id-3', 'id-8']);
    assert.deepEqual(await find(['id-3', 'id-8'], 1_005), ['id-8']);
    assert.equal((await find(['often'])).length, 30);
    assert.equal((await find(['often'], 2_020)).length, 10);
    assert.deepEqual(await find([]), []);
    assert.deepEqual(await collect(log.find('nobody', new Set(['x']))), []);
  });

  it('refuses bad names, cursors that it did not make, and records that JSON cannot carry', async () => {
    const log = store().captures;
    await assert.rejects(log.append('../mail', 'r1', [capture('1')]), InvalidInput);
    await assert.rejects(log.append('mail', 'r/1', [capture('1')]), InvalidInput);
    await assert.rejects(log.read('mail', 'no cursor'), InvalidInput);
    await assert.rejects(log.read('mail', '{"r1":-1}'), InvalidInput);
    const broken = { ...capture('1'), answer: { label: 'ham', score: Number.NaN } };
    await assert.rejects(log.append('mail', 'r1', [broken]), InvalidInput);
    assert.deepEqual(ids(await log.read('mail')), []);
  });
}
