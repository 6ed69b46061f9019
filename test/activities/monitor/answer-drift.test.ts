import assert from 'node:assert/strict';
import { createDataActivities } from '../../../src/activities/data.ts';
import type { DataActivities } from '../../../src/contracts/activities.ts';
import type { Digest } from '../../../src/contracts/digest.ts';
import type { CaptureRecord } from '../../../src/contracts/endpoint.ts';
import { MonitorRecord } from '../../../src/contracts/monitor.ts';
import { refNames } from '../../../src/contracts/names.ts';
import { createRandom, type Random } from '../../../src/stats/random.ts';
import { getJson } from '../../../src/store/manifests.ts';
import { constantModel } from '../../serving/models.ts';
import { House, run } from '../house.ts';

describe('monitor: live answers', () => {
  let house: House;
  let data: DataActivities;
  let spec: Digest;
  let champion: Digest;
  let random: Random;
  let asked = 0;
  beforeEach(async () => {
    house = await House.open();
    data = createDataActivities({ store: house.store, ...house.programs });
    spec = await house.apply({ triggers: { drift: { window: 100 } } });
    champion = await house.model(constantModel(0.9));
    await house.crown(champion);
    random = createRandom(5);
  });
  afterEach(() => house.close());

  const probe = async (activities = data) =>
    (await run(activities.probeData, { loop: 'spam', specDigest: spec, waitMs: null })).trigger;
  const record = async () => {
    const ref = await house.store.refs.read(refNames.monitor('spam'));
    return ref && (await getJson(house.store, MonitorRecord, ref.digest)).answers;
  };
  /** Requests of which a share is answered with spam. */
  const serve = async (count: number, spamShare: number, changes: Partial<CaptureRecord> = {}) =>
    await house.answered(
      Array.from({ length: count }, () => {
        const isSpam = random.uniform() < spamShare;
        const score = isSpam ? 0.5 + random.uniform() / 2 : random.uniform() / 2;
        return {
          inferenceId: `request-${++asked}`,
          model: champion,
          answer: { label: isSpam ? 'spam' : 'ham', score },
          ...changes,
        };
      }),
    );

  it('a shift starts a cycle, once; requests like those before do not', async () => {
    await serve(100, 0.9);
    assert.equal(await probe(), null, 'what came before the monitor did is not its');
    for (let i = 0; i < 4; i++) {
      await serve(100, 0.3);
      assert.equal(await probe(), null);
    }
    const calm = await record();
    assert.deepEqual([calm?.windows, calm?.drift?.window, calm?.alarm], [3, 3, null]);

    await serve(100, 0.9);
    const reason = await probe();
    assert.match(reason ?? '', /^drift: (answers|scores), PSI \d\.\d\d on 100 rows against 100 \(p .*; and 1 more$/);
    const afresh = createDataActivities({ store: house.store, ...house.programs });
    assert.equal(await probe(afresh), reason, 'due until a cycle was opened, whoever asks');

    await house.point(refNames.cycles('spam'), spec);
    assert.equal(await probe(afresh), null);
    await serve(200, 0.9);
    assert.equal(await probe(afresh), null, 'the shift is known');
    await serve(100, 0.3);
    assert.match((await probe(afresh)) ?? '', /^drift: /, 'and so is the way back');
  });

  it('shadows, background traffic and other models are not what callers were told', async () => {
    assert.equal(await probe(), null);
    await serve(100, 0.3);
    for (const changes of [
      { shadow: true },
      { background: true },
      { model: `sha256:${'b'.repeat(64)}` },
      { answer: null },
    ])
      await serve(150, 0.9, changes);
    assert.equal(await probe(), null);
    assert.equal((await record())?.windows, 0, 'the reference alone');
  });

  it('answers that do not fill a window wait for the others, also under a new worker', async () => {
    assert.equal(await probe(), null);
    await serve(100, 0.3);
    await serve(60, 0.9);
    assert.equal(await probe(), null);
    const afresh = createDataActivities({ store: house.store, ...house.programs });
    await serve(39, 0.9);
    assert.deepEqual([await probe(), await probe(afresh)], [null, null]);
    await serve(1, 0.9);
    assert.match((await probe(afresh)) ?? '', /^drift: /);
  });

  it('a new champion is compared with itself', async () => {
    assert.equal(await probe(), null);
    await serve(100, 0.3);
    assert.equal(await probe(), null);
    champion = await house.model(constantModel(0.1));
    await house.crown(champion);
    await serve(100, 0.9);
    assert.equal(await probe(), null);
    const watch = await record();
    assert.deepEqual([watch?.model, watch?.windows, watch?.alarm], [champion, 0, null]);
  });

  it('without a champion or an endpoint there is nothing to watch', async () => {
    spec = await house.apply({ rollout: 'none', triggers: { drift: {} } });
    assert.equal(await probe(), null);
    assert.equal(await record(), null);
  });
});
