import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils.js';
import { Worker } from '@temporalio/worker';
import { workflowBundle } from '../temporal.ts';

const folder = fileURLToPath(new URL('../histories/', import.meta.url));

/**
 * What runs in production was begun by older code. Every committed history (scripts/record-histories.ts) must lead the
 * workflows of today to the same commands.
 */
describe('recorded histories', () => {
  const names = readdirSync(folder).filter((file) => file.endsWith('.json'));
  const read = (file: string) => {
    const text = readFileSync(`${folder}${file}`, 'utf8');
    assert.ok(text.length < 300_000, `${file} has ${text.length} characters`);
    return JSON.parse(text) as { workflowId: string; history: { events: { eventType: string }[] } };
  };

  it('tell of every workflow', () => {
    for (const kind of ['loop', 'cycle', 'endpoint', 'job', 'kick', 'workload', 'wave'])
      assert.ok(
        names.some((name) => name.startsWith(kind)),
        `no history of ${kind}`,
      );
  });

  it('are replayed by the workflows of today', async function () {
    this.timeout(60_000);
    const histories = names.map((file) => {
      const { workflowId, history } = read(file);
      return { workflowId, history: historyFromJSON(history) };
    });
    const replayed: string[] = [];
    for await (const { workflowId, error } of Worker.runReplayHistories(
      { workflowBundle: await workflowBundle() },
      histories,
    )) {
      assert.ifError(error);
      replayed.push(workflowId);
    }
    assert.deepEqual(replayed.sort(), histories.map(({ workflowId }) => workflowId).sort());
  });

  it('that another code would have made are found out', async function () {
    this.timeout(60_000);
    const { workflowId, history } = read('cycle-failed-gate.json');
    const text = JSON.stringify(history).replaceAll('"snapshotData"', '"takeSnapshot"');
    const histories = [{ workflowId, history: historyFromJSON(JSON.parse(text)) }];
    for await (const { error } of Worker.runReplayHistories({ workflowBundle: await workflowBundle() }, histories))
      assert.match(String(error), /takeSnapshot|Nondeterminism/i);
  });
});
