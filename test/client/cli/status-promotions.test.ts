import assert from 'node:assert/strict';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Attention } from '../../../src/client/cli/status/collect.ts';
import { promotionNeeds, waitingPromotions } from '../../../src/client/cli/status/promotions.ts';
import { refNames } from '../../../src/contracts/names.ts';
import { promote } from '../../../src/models/promote.ts';
import { loop, model, Registry, rowsOf } from '../../models/registry.ts';
import { documentOf, nowhere, runCli } from './run-cli.ts';

describe('status: promotions that wait for an approver', function () {
  this.timeout(60_000);
  let [staging, prod] = [] as unknown as [Registry, Registry];

  before(async () => {
    [staging, prod] = [await Registry.open('staging'), await Registry.open('prod')];
    await staging.deliver(rowsOf('2002-07-10', 80));
    const digest = await staging.approve(await staging.train(0));
    await prod.deliver(rowsOf('2002-08-10', 200));
    await prod.apply({ approval: { by: ['bob', 'eve'], notBy: 'author', within: '1h' } });
    const specDigest = (await prod.store.refs.read(refNames.loopSpec(loop)))!.digest;
    const { state } = await promote({
      ...{ source: staging.store, target: prod.store, model, version: 1, digest, from: 'staging' },
      loop: { loop, specDigest, dataset: prod.dataset! },
      ...{ by: 'ann', reason: 'it is good', signal: new AbortController().signal },
    });
    assert.equal(state, 'waiting');
  });
  after(async () => {
    await staging.close();
    await prod.close();
  });

  it('names who is asked, until when, and both answers, in the environment of the question', async () => {
    const [waiting, ...more] = await waitingPromotions(prod.store);
    assert.equal(more.length, 0);
    const start = waiting!.key.slice(0, 12);
    const until = `${waiting!.waiting.deadline.slice(0, 16)}Z`;
    assert.deepEqual(promotionNeeds(waiting!, 'prod'), {
      what: `promotion/prices/${start}`,
      kind: 'approval',
      why: `one of bob, eve (not ann, who wrote the spec) until ${until}, for prices@1 of staging`,
      command: [
        `goto3 models approve prices ${start} --env prod --reason "..."`,
        `goto3 models reject prices ${start} --env prod --reason "..."`,
      ].join('\n'),
    });
  });

  it('is silent about one whose deadline is over: nobody can answer it any more', async () => {
    assert.deepEqual(await waitingPromotions(prod.store, new Date(Date.now() + 2 * 3_600_000)), []);
  });

  it('is on the page and in the document while Temporal is away, and its command is answered', async () => {
    const variables = { TEMPORAL_ADDRESS: nowhere, GOTO3_STORE: pathToFileURL(join(prod.folder, 'store')).href };
    const [page, json] = await Promise.all([
      runCli(prod.folder, ['status'], variables),
      runCli(prod.folder, ['status', '--json'], variables),
    ]);
    const status = documentOf<{ attention: Attention[]; promotions: object[] }>(json);
    const [needed] = status.attention;
    assert.deepEqual([status.attention.length, status.promotions.length, needed!.kind], [1, 1, 'approval']);
    const approve = needed!.command!.split('\n')[0]!;
    assert.ok(page.stdout.includes(approve), page.stdout);
    const words = approve.replace(' --reason "..."', '').split(' ').slice(1);
    const answer = await runCli(prod.folder, [...words, '--by', 'bob', '--reason', 'looked at it'], variables);
    assert.equal(answer.code, 0, answer.stderr);
    assert.deepEqual(await waitingPromotions(prod.store), []);
  });
});
