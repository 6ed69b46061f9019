import assert from 'node:assert/strict';
import type { Client } from '@temporalio/client';
import { refNames, workflowIds } from '../../src/contracts/names.ts';
import { eventually } from '../temporal.ts';
import { LoopUnderFault } from './harness/loop.ts';
import { servedLoop, sharedStack } from './harness/shared-stack.ts';
import type { StackUnderFault } from './harness/stack.ts';
import { Story } from './harness/story.ts';
import { inTraining, undisturbedWeights, weightsOf } from './harness/training.ts';

const deep = (levels: number): unknown => (levels === 0 ? 'bottom' : { down: deep(levels - 1) });

/** What people type into the Web UI, and what other people try. None is a message that any workflow knows. */
const malformed: readonly unknown[] = [
  ...[null, true, 0, -1, 1e308, '', 'retrain', 'x'.repeat(100_000), [], [1, 2], [[]], {}],
  ...[{ requestId: '' }, { requestId: 1 }, { requestId: null, reason: null, by: null }],
  { requestId: 'r', reason: 'no by' },
  { requestId: 'r', reason: 'x', by: 'y', extra: 1 },
  { requestId: 'r'.repeat(1_000), reason: 'x', by: 'y', deploy: 'z', specDigest: 'z' },
  { requestId: ['r'], reason: { text: 'x' }, by: 7 },
  { requestId: 'r', reason: 'x', by: 'y', specDigest: 'sha256:short' },
  { requestId: 'r', reason: 'x', by: 'y', model: '../../etc/passwd', name: '../x' },
  { n: 'one', outcome: 5, detail: null, failed: 'yes', inconclusive: 0, gpuHours: -1 },
  { n: 0, outcome: '', detail: '', failed: true, inconclusive: true, gpuHours: 0 },
  ...[{ rows: -5 }, { rows: 1.5 }, { rows: 'many' }, { rows: { toString: 'x' } }],
  { requestId: 'r', outcome: 'exploded', reason: 'x', deployment: 'none' },
  JSON.parse('{"__proto__": {"requestId": "r"}, "constructor": {"prototype": {}}}'),
  deep(500),
];

interface Target {
  workflowId: string;
  updates: readonly string[];
  signals: readonly string[];
  answers: () => Promise<unknown>;
}

describe('messages', function () {
  this.timeout(180_000);
  let stack: StackUnderFault;
  let temporal: Client;

  before(async () => {
    stack = await sharedStack();
    temporal = stack.goto3.temporal;
    await servedLoop();
  });

  it('30 malformed payloads to every message of every workflow: each still answers, and works', async () => {
    assert.equal(malformed.length, 30);
    const story = new Story(stack, '30 malformed payloads to every message of every workflow');
    const loop = await LoopUnderFault.write(stack, 'mistyped', { trainer: { kind: 'misbehaving', how: 'noModel' } });
    await loop.apply();
    const { goto3 } = stack;
    const cycle = goto3.cycle('mistyped/1');
    await eventually('its cycle is parked', async () => (await cycle.status()).stage === 'parked', 60_000);
    const targets: Target[] = [
      {
        workflowId: workflowIds.loop('mistyped'),
        updates: ['retrain', 'setSpec', 'pause', 'resume'],
        signals: ['newData', 'cycleFinished'],
        answers: () => goto3.loop('mistyped').status(),
      },
      {
        workflowId: workflowIds.cycle('mistyped', 1),
        updates: ['approve', 'reject', 'retry', 'acceptData', 'dropData'],
        signals: ['deployFinished'],
        answers: () => cycle.status(),
      },
      {
        workflowId: workflowIds.endpoint('mail'),
        updates: ['deploy', 'withdraw', 'rollback', 'freeze', 'unfreeze', 'shadow'],
        signals: [],
        answers: () => goto3.endpoint('mail').status(),
      },
    ];
    let [sent, refused] = [0, 0];
    const before = await stateOf(targets);
    for (const { workflowId, updates, signals, answers } of targets) {
      const handle = temporal.workflow.getHandle(workflowId);
      // An empty object is a valid hint of new data.
      for (const name of signals)
        for (const payload of malformed)
          if (!(name === 'newData' && JSON.stringify(payload) === '{}')) {
            await handle.signal(name, payload);
            sent += 1;
          }
      for (const name of updates)
        await Promise.all(
          [0, 1, 2, 3].map(async (lane) => {
            for (const payload of malformed.filter((_, i) => i % 4 === lane)) {
              sent += 1;
              await handle.executeUpdate(name, { args: [payload] }).then(
                () => assert.fail(`${workflowId} took ${name} with ${JSON.stringify(payload).slice(0, 100)}`),
                (error: Error) => {
                  refused += Number(error.name === 'WorkflowUpdateFailedError');
                },
              );
            }
          }),
        );
      await answers();
    }
    story.hasFired(`${sent} messages sent, ${refused} updates refused by validators`);
    assert.equal(refused, 15 * malformed.length);
    const { droppedSignals } = await goto3.loop('mistyped').status();
    assert.equal(droppedSignals, 2 * malformed.length - 1);
    assert.deepEqual(await stateOf(targets), before, 'nothing changed');
    story.goesOn();
    await story.end();
  });

  /** What every workflow says of itself, without what may change with time. */
  async function stateOf(targets: readonly Target[]): Promise<unknown[]> {
    return await Promise.all(
      targets.map(async ({ answers }) => {
        const {
          droppedSignals: _dropped,
          dataAskedAtMs: _asked,
          ...state
        } = (await answers()) as Record<string, unknown>;
        return state;
      }),
    );
  }

  it('100 concurrent identical requests to retrain: one cycle', async () => {
    const story = new Story(stack, '100 concurrent identical requests to retrain');
    const loop = await LoopUnderFault.write(stack, 'herd');
    await loop.apply();
    await loop.report(1);
    const ask = () => stack.goto3.loop('herd').retrain({ requestId: 'the one', reason: 'herd' });
    const answers = await Promise.all(Array.from({ length: 100 }, ask));
    story.hasFired(`${answers.length} answers`);
    assert.deepEqual(new Set(answers.map(({ cycle }) => cycle)), new Set(['herd/2']));
    stack.log.commands.push({ kind: 'retrain', loop: 'herd', cycle: 2 });
    await loop.report(2);
    story.goesOn();
    await eventually('the loop rests', async () => (await stack.goto3.loop('herd').status()).state === 'idle');
    assert.equal((await stack.goto3.store.refs.read(refNames.cycles('herd')))?.entry, 2);
    await story.end();
  });

  it('a loop terminated in the middle of a cycle and applied again takes its cycle over', async () => {
    const undisturbed = await undisturbedWeights(stack);
    const story = new Story(stack, 'the loop is terminated mid-cycle and applied again');
    const loop = await inTraining(stack, 'terminated');
    await temporal.workflow.getHandle(workflowIds.loop('terminated')).terminate('fault test');
    story.hasFired('the loop workflow is terminated');
    story.typed();
    await loop.apply();
    await eventually('the loop has its cycle', async () => {
      const { running } = await stack.goto3.loop('terminated').status();
      return running?.n === 1;
    });
    story.goesOn();
    assert.equal(await weightsOf(stack, await loop.report(1)), undisturbed);
    const status = await eventually('the loop knows that it ended', async () => {
      const now = await stack.goto3.loop('terminated').status();
      return now.running === null && now;
    });
    assert.equal(status.finishedCycles, 1);
    assert.equal((await loop.starts()).length, 1);
    await story.end();
  });
});
