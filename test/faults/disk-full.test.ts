import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { refNames, workflowIds } from '../../src/contracts/names.ts';
import { eventually } from '../temporal.ts';
import { LoopUnderFault } from './harness/loop.ts';
import { SmallDisk } from './harness/small-disk.ts';
import { StackUnderFault } from './harness/stack.ts';
import { Story } from './harness/story.ts';

describe('a full disk', function () {
  this.timeout(180_000);
  let stack: StackUnderFault;
  let loop: LoopUnderFault;
  let storeDisk: SmallDisk;
  let databaseDisk: SmallDisk;

  before(async function () {
    if (process.getuid?.() !== 0) {
      console.log('      skipped: only root may mount the small disks that these tests fill; run them as root');
      return this.skip();
    }
    stack = await StackUnderFault.create([]);
    storeDisk = SmallDisk.mount(stack.layout.store, 32);
    databaseDisk = SmallDisk.mount(stack.layout.temporal, 48);
    await stack.start();
    loop = await LoopUnderFault.write(stack, 'full');
    await loop.apply();
    assert.equal((await loop.report(1)).outcome, 'approved');
  });
  after(async () => {
    if (!stack) return;
    for (const disk of [storeDisk, databaseDisk]) disk?.free();
    const destroyed = stack.destroy().catch(() => undefined);
    // The home can be removed once nothing is mounted in it.
    await eventually('nothing is left of the stack', async () => stack.processesLeft().length === 0);
    for (const disk of [storeDisk, databaseDisk]) disk?.unmount();
    await destroyed;
    await stack.destroy();
  });

  /** The type of the failure that an activity of these workflows is retried after. */
  async function retriedAfter(workflowIdsToAsk: readonly string[]): Promise<string | undefined> {
    for (const workflowId of workflowIdsToAsk) {
      const described = await stack.goto3.temporal.workflow
        .getHandle(workflowId)
        .describe()
        .catch(() => undefined);
      for (const { lastFailure } of described?.raw.pendingActivities ?? []) {
        const type = lastFailure?.applicationFailureInfo?.type;
        if (type) return `${type}: ${lastFailure?.message}`;
      }
    }
    return undefined;
  }

  it('under the store: nothing half written, and it goes on when there is room', async () => {
    const story = new Story(stack, 'the disk of the store is full');
    storeDisk.fill();
    await loop.deliver(150);
    const seen = await eventually(
      'an activity finds the disk full',
      () => retriedAfter([workflowIds.loop('full'), workflowIds.cycle('full', 2)]),
      60_000,
    );
    assert.match(seen, /^StoreUnavailable: .*ENOSPC/);
    storeDisk.free();
    story.hasFired(seen.slice(0, 120));
    const report = await loop.report(2);
    story.goesOn(Date.parse(report.endedAt));
    assert.equal(report.outcome, 'approved', report.detail);
    stack.log.commands.push({ kind: 'deliver', loop: 'full', rows: 390 });
    await story.end({ note: 'from the moment there is room again to the end of the cycle' });
  });

  it('under the Temporal database: what it had acknowledged holds, and it goes on when there is room', async () => {
    const story = new Story(stack, 'the disk of the Temporal database is full');
    databaseDisk.fill();
    const log = join(stack.layout.logs, 'temporal.log');
    const ask = (requestId: string) => stack.goto3.loop('full').retrain({ requestId, reason: 'disk full' });
    const acknowledged: string[] = [];
    const seen = await eventually(
      'the server finds its disk full',
      async () => {
        await ask(`while full ${acknowledged.length}`).then(
          ({ cycle }) => acknowledged.push(cycle),
          () => undefined,
        );
        return /[^"]*(database or disk is full|SQLITE_FULL|no space left)[^"]*/i.exec(await readFile(log, 'utf8'))?.[0];
      },
      60_000,
    );
    databaseDisk.free();
    story.hasFired(seen.slice(0, 120));
    const { cycle } = await eventually('it takes requests again', () => ask('after'), 60_000);
    story.goesOn();
    for (const id of [...acknowledged, cycle])
      stack.log.commands.push({ kind: 'retrain', loop: 'full', cycle: Number(id.split('/')[1]) });
    const n = Number(cycle.split('/')[1]);
    assert.equal((await loop.report(n)).cycle, n);
    assert.ok(((await stack.goto3.store.refs.read(refNames.cycles('full')))?.entry ?? 0) >= n);
    await story.end();
  });
});
