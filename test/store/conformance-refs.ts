import assert from 'node:assert/strict';
import type { Digest } from '../../src/contracts/digest.ts';
import { InvalidInput, RefConflict } from '../../src/store/errors.ts';
import type { Ref, Store } from '../../src/store/types.ts';
import { collect, digestOfDigit, why } from './samples.ts';

/** @param entries of a long log */
export function refsConform(store: () => Store, entries: number): void {
  const [first, second, third] = ['1', '2', '3'].map(digestOfDigit) as [Digest, Digest, Digest];

  it('starts a log only when there is none', async () => {
    assert.equal(await store().refs.read('start/a'), undefined);
    const ref = await store().refs.compareAndSet('start/a', undefined, first, why('begin', 'ann', 'because'));
    assert.deepEqual(
      { ...ref, time: '' },
      { name: 'start/a', entry: 1, digest: first, operation: 'begin', by: 'ann', reason: 'because', time: '' },
    );
    assert.deepEqual(await store().refs.read('start/a'), ref);
    await assert.rejects(store().refs.compareAndSet('start/a', undefined, second, why('again')), RefConflict);
  });

  it('names who moved the ref, when and why', async () => {
    const won = await store().refs.compareAndSet('who/a', undefined, first, why('deploy/7', 'bob', 'better recall'));
    await assert.rejects(store().refs.compareAndSet('who/a', undefined, first, why('deploy/8')), (error: unknown) => {
      assert.ok(error instanceof RefConflict);
      assert.equal(error.type, 'RefConflict');
      assert.deepEqual(error.found, won);
      for (const part of ['who/a', 'bob', won.time, 'deploy/7', 'better recall'])
        assert.ok(error.message.includes(part), `${part} in: ${error.message}`);
      return true;
    });
  });

  it('takes a repeated write for a lost reply, also when the log has gone on', async () => {
    const one = await store().refs.compareAndSet('lost/a', undefined, first, why('one'));
    const two = await store().refs.compareAndSet('lost/a', one, second, why('two'));
    await store().refs.compareAndSet('lost/a', two, third, why('three'));
    assert.deepEqual(await store().refs.compareAndSet('lost/a', one, second, why('two')), two);
    assert.equal((await collect(store().refs.history('lost/a'))).length, 3);
  });

  it('takes the same operation key with another digest for a conflict', async () => {
    await store().refs.compareAndSet('same/a', undefined, first, why('one'));
    await assert.rejects(store().refs.compareAndSet('same/a', undefined, second, why('one')), RefConflict);
  });

  it('refuses an expected entry that the log does not have', async () => {
    const one = await store().refs.compareAndSet('fence/a', undefined, first, why('one'));
    const invented: Ref = { ...one, entry: 5 };
    await assert.rejects(store().refs.compareAndSet('fence/a', invented, second, why('two')), RefConflict);
    const other: Ref = { ...one, digest: third };
    await assert.rejects(store().refs.compareAndSet('fence/a', other, second, why('two')), RefConflict);
    const elsewhere = { ...one, name: 'fence/b' };
    await assert.rejects(store().refs.compareAndSet('fence/a', elsewhere, second, why('two')), InvalidInput);
    await assert.rejects(store().refs.compareAndSet('fence/b', one, second, why('two')), InvalidInput);
    assert.deepEqual(await collect(store().refs.history('fence/a')), [one]);
  });

  it('has one winner per entry among 32 writers', async () => {
    let newest: Ref | undefined;
    for (let round = 1; round <= 3; round += 1) {
      const answers = await Promise.allSettled(
        Array.from({ length: 32 }, (_, i) =>
          store().refs.compareAndSet('race/a', newest, first, why(`${round}/${i}`, `writer-${i}`)),
        ),
      );
      const won = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
      assert.equal(won.length, 1);
      for (const answer of answers)
        if (answer.status === 'rejected') assert.ok(answer.reason instanceof RefConflict, String(answer.reason));
      newest = won[0]!;
      assert.deepEqual(await store().refs.read('race/a'), newest);
      assert.equal(newest.entry, round);
    }
  });

  it(`goes on past ${entries} entries`, async () => {
    let newest: Ref | undefined;
    for (let i = 1; i <= entries; i += 1)
      newest = await store().refs.compareAndSet('long/a', newest, first, why(`step/${i}`));
    assert.deepEqual(await store().refs.read('long/a'), newest);
    const found = (await collect(store().refs.history('long/a'))).map((ref) => ref.entry);
    assert.deepEqual(
      found,
      Array.from({ length: entries }, (_, i) => entries - i),
    );
  });

  it('lists the refs below a prefix, sorted, and no others', async () => {
    for (const name of ['list/models/b', 'list/models/a/x', 'list/models-evil/x', 'list/models/a'])
      await store().refs.compareAndSet(name, undefined, first, why('list'));
    assert.deepEqual(await collect(store().refs.list('list/models/')), [
      'list/models/a',
      'list/models/a/x',
      'list/models/b',
    ]);
    assert.deepEqual(await collect(store().refs.list('nothing/')), []);
    const all = await collect(store().refs.list(''));
    assert.ok(all.includes('list/models-evil/x'));
    assert.deepEqual(all, all.toSorted());
  });

  it('appends behind whatever is there, and once for one operation, also long after', async () => {
    const { refs } = store();
    const mine = await refs.append('append/log', first, why('mine'));
    for (let i = 0; i < 20; i += 1) await refs.append('append/log', first, why(`other-${i}`));
    assert.deepEqual(await refs.append('append/log', first, why('mine')), mine);
    assert.equal((await refs.read('append/log'))?.entry, 21);
  });

  it('appends once when one operation comes from many at the same time, and loses none of many', async () => {
    const { refs } = store();
    const same = await Promise.all(Array.from({ length: 8 }, () => refs.append('append/race', first, why('same'))));
    assert.deepEqual(new Set(same.map(({ entry }) => entry)), new Set([1]));
    await Promise.all(Array.from({ length: 8 }, (_, i) => refs.append('append/race', first, why(`each-${i}`))));
    const operations = (await collect(refs.history('append/race'))).map(({ operation }) => operation);
    assert.equal(new Set(operations).size, 9);
    assert.equal(operations.length, 9);
  });

  it('reads history from an entry on', async () => {
    const { refs } = store();
    for (let i = 1; i <= 5; i += 1) await refs.append('from/log', first, why(`${i}`));
    const from = async (entry?: number) => (await collect(refs.history('from/log', entry))).map((ref) => ref.entry);
    assert.deepEqual(await from(3), [3, 2, 1]);
    assert.deepEqual(await from(9), await from());
    assert.deepEqual(await from(0), []);
  });

  for (const bad of ['', '/', 'a/', '/a', 'a//b', '../a', 'a/../b', 'A/b', 'a/@log', 'a b', 'a\u0000', '__proto__/a'])
    it(`refuses the ref name ${JSON.stringify(bad)}`, async () => {
      await assert.rejects(store().refs.read(bad), InvalidInput);
      await assert.rejects(store().refs.compareAndSet(bad, undefined, first, why('x')), InvalidInput);
    });

  it('refuses a prefix without its slash, a bad digest and an empty operation key', async () => {
    await assert.rejects(collect(store().refs.list('models')), InvalidInput);
    await assert.rejects(collect(store().refs.list('../')), InvalidInput);
    await assert.rejects(store().refs.compareAndSet('bad/a', undefined, 'latest' as Digest, why('x')), InvalidInput);
    await assert.rejects(store().refs.compareAndSet('bad/a', undefined, first, why('')), InvalidInput);
    assert.equal(await store().refs.read('bad/a'), undefined);
  });
}
