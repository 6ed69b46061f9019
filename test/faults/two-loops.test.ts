import assert from 'node:assert/strict';
import { refNames } from '../../src/contracts/names.ts';
import { getManifest } from '../../src/store/manifests.ts';
import { collect } from '../store/samples.ts';
import { LoopUnderFault } from './harness/loop.ts';
import { sharedStack } from './harness/shared-stack.ts';
import { Story } from './harness/story.ts';
import { Traffic } from './harness/traffic.ts';

const endpoint = 'duel';

describe('two loops that deploy to one endpoint', function () {
  this.timeout(400_000);

  it('take turns: every version is rolled out once, and no request fails', async () => {
    const stack = await sharedStack();
    const story = new Story(stack, 'two loops deploy to one endpoint at once, a third one another model');
    const { store } = stack.goto3;
    // The same registry name, other data: their versions are strangers to each other.
    const left = await LoopUnderFault.write(stack, 'duel-left', { endpoint, model: 'duel', rows: 240 });
    const right = await LoopUnderFault.write(stack, 'duel-right', { endpoint, model: 'duel', rows: 300 });
    const stranger = await LoopUnderFault.write(stack, 'duel-stranger', { endpoint, rows: 360 });
    await left.apply();
    assert.equal((await left.report(1)).outcome, 'deployed');
    const traffic = new Traffic(stack, endpoint, 4);
    try {
      await Promise.all([right.apply(), stranger.apply(), left.deliver(100)]);
      const [first, second, refused] = await Promise.all([
        left.report(2, 300_000),
        right.report(1, 300_000),
        stranger.report(1, 300_000),
      ]);
      assert.deepEqual([first.outcome, second.outcome], ['deployed', 'deployed'], `${first.detail}; ${second.detail}`);
      assert.equal(refused.outcome, 'approvedNotDeployed');
      assert.match(refused.detail, /serves the model duel, not duel-stranger/);
      const history = await collect(store.refs.history(refNames.deployments(endpoint)));
      const deployments = await Promise.all(history.map(({ digest }) => getManifest(store, digest, 'Deployment')));
      assert.deepEqual(new Set(deployments.map(({ model }) => model)).size, 3, 'each version once');
      assert.equal(deployments.length, 3);
      // One canary began when the other had ended.
      const [later, earlier] = deployments.map(({ steps }) => steps);
      const [began, ended] = [Date.parse(later![0]!.startedAt), Date.parse(earlier!.at(-1)!.endedAt)];
      assert.ok(began >= ended, `${began} is before ${ended}`);
      story.hasFired('both wanted the endpoint before either had it', Date.parse(earlier![0]!.startedAt));
      story.goesOn(began);
      const champion = await store.refs.read(refNames.champion('duel'));
      assert.equal(champion?.digest, deployments[0]!.model, 'the champion is what is served');
    } finally {
      await traffic.stop();
    }
    assert.deepEqual(traffic.failedSince(0), []);
    await story.end({ note: `${traffic.requests.length} requests meanwhile, none failed; the third is told why not` });
  });
});
