import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pc from 'picocolors';
import { Act, type ActFigures } from '../../src/client/cli/demo/incident/act.ts';
import { attemptsOf, jobsDone } from '../../src/client/cli/demo/incident/jobs-twice.ts';
import { type IncidentResult, problemsOf } from '../../src/client/cli/demo/incident/result.ts';
import { incidentText } from '../../src/client/cli/demo/incident/text.ts';
import { temporaryFolder } from '../store/samples.ts';

const figures = (more: Partial<ActFigures> = {}): ActFigures => ({
  ...{ name: 'kill -9', title: 'kill -9 of everything', fired: true, happened: ['they died', 'it lived'], typed: [] },
  ...{ secondsToContinue: 16.3, requests: 6_578, failedRequests: 0 },
  ...more,
});
const result = (more: Partial<IncidentResult> = {}): IncidentResult => ({
  ...{ schema: 'goto3/incident/v1', loop: 'spam-filter', startedAt: '2026-01-01T00:00:00.000Z' },
  ...{ durationMs: 191_000, stackReadyMs: 8_600, problems: [] },
  acts: [
    figures(),
    figures({ name: 'poison', typed: ['goto3 cycle drop-data spam-filter/3'], secondsToContinue: 0.3 }),
  ],
  cycles: [
    { cycle: 1, outcome: 'deployed', version: 1 },
    { cycle: 2, outcome: 'rolledBack', version: 2 },
  ],
  clients: { sent: 21_900, failed: 0, ratePerSecond: 120 },
  jobs: { done: 5, twice: [] },
  ...more,
});

describe('The incident', () => {
  it('counts from the fault, or from the command that it waited for; clients from its beginning to its end', () => {
    let sent = 100;
    const told: string[] = [];
    const act = new Act(
      { name: 'n', title: 'a title' },
      {
        clients: () => ({ sent, failed: sent > 150 ? 2 : 0 }),
        tell: (text, kind) => void told.push(`${kind}: ${text}`),
      },
    );
    act.begin();
    act.goesOn();
    assert.deepEqual([act.figures.fired, act.figures.secondsToContinue], [false, null], 'before it happened');
    act.fire('it happened');
    act.hasTyped('goto3 x', { waited: true });
    act.goesOn();
    sent = 200;
    act.end();
    sent = 300;
    const { fired, happened, typed, secondsToContinue, requests, failedRequests } = act.figures;
    assert.deepEqual([fired, happened, typed], [true, ['it happened'], ['goto3 x']]);
    assert.ok(secondsToContinue !== null && secondsToContinue < 5);
    assert.deepEqual([requests, failedRequests], [100, 2]);
    assert.deepEqual(told, ['title: ── a title', 'line:    it happened']);
  });

  it('is a problem when it never happened, when nobody saw it go on, and when anybody lost anything', () => {
    const ill = result({
      acts: [figures({ name: 'a', fired: false }), figures({ name: 'b', secondsToContinue: null }), figures()],
      clients: { sent: 10, failed: 1, ratePerSecond: 1 },
      jobs: { done: 1, twice: ['x/1/train succeeded in 2 attempts'] },
    });
    assert.deepEqual(problemsOf(ill), [
      'a: it never happened',
      'b: nobody saw the loop go on',
      '1 of 10 requests of clients failed',
      'x/1/train succeeded in 2 attempts',
    ]);
    assert.deepEqual(problemsOf(result()), []);
    assert.deepEqual(problemsOf(result({ clients: { sent: 0, failed: 0, ratePerSecond: 1 } })), [
      'no client asked anything',
    ]);
  });

  it('is told for people: what happened, what was typed, and all of it in a table', () => {
    const text = incidentText(result(), { paint: pc.createColors(false), width: undefined });
    assert.match(text, /^1 {2}kill -9 of everything\n {3}happened {4}they died\n {15}it lived\n {3}typed {7}nothing\n/);
    assert.match(text, / {3}goes on {5}after 16\.3 s\n {3}clients {5}6,578 requests, 0 failed\n/);
    assert.match(text, /^all, start to end +1 +– +21,900 +0 +0$/m);
    assert.match(text, /Cycles: 1 deployed \(version 1\), 2 rolledBack\. 5 fine-tunes, none twice\./);
  });

  it('counts as twice what two wrappers claimed, or what succeeded in two attempts', async () => {
    const folder = await temporaryFolder();
    try {
      const job = async (name: string, state: string | null, claims = 1) => {
        const at = join(folder.path, name.replaceAll('/', '-'));
        await mkdir(at);
        const files: Record<string, unknown> = { 'job.json': { spec: { name } } };
        for (let n = 1; n <= claims; n++) files[`claim-${n}.json`] = {};
        if (state) files['exit.json'] = { state, endedAt: '2026-01-01T00:00:00.000Z' };
        for (const [file, content] of Object.entries(files)) await writeFile(join(at, file), JSON.stringify(content));
      };
      await job('x/1/train/1', 'failed');
      await job('x/1/train/2', 'succeeded');
      await job('x/2/train/1', null);
      await writeFile(join(folder.path, 'wrapper.mjs'), '');
      assert.deepEqual(await jobsDone(folder.path), { done: 1, twice: [] });
      assert.equal(await attemptsOf(folder.path, 'x/1/train'), 2);
      await job('x/1/train/3', 'succeeded');
      await job('x/3/train/1', 'succeeded', 2);
      const { done, twice } = await jobsDone(folder.path);
      assert.deepEqual(
        [done, twice.sort()],
        [2, ['x/1/train succeeded in 2 attempts', 'x/3/train/1 was claimed 2 times']],
      );
    } finally {
      await folder.remove();
    }
  });
});
