import assert from 'node:assert/strict';
import fc from 'fast-check';
import { phases, readHistory, type Span } from '../../src/activities/cycle-phases.ts';

const sum = (values: Record<string, number>): number => Object.values(values).reduce((a, b) => a + b, 0);

describe('phases of a cycle', () => {
  const span = fc.record({
    phase: fc.constantFrom('data', 'training', 'evaluation', 'waiting'),
    fromMs: fc.integer({ min: -50, max: 1_100 }),
    toMs: fc.integer({ min: -50, max: 1_200 }),
  });

  it('sum up to the whole time, whatever overlaps', () => {
    fc.assert(
      fc.property(fc.array(span), (spans) => {
        const found = phases(spans, 0, 1_000);
        assert.equal(sum(found), 1_000);
        for (const ms of Object.values(found)) assert.ok(ms >= 0);
      }),
    );
  });

  it('leave to orchestration exactly what no span covers', () => {
    fc.assert(
      fc.property(fc.array(span), (spans) => {
        const idle = Array.from({ length: 1_000 }, (_, ms) => ms).filter(
          (ms) => !spans.some(({ fromMs, toMs }) => fromMs <= ms && ms < toMs),
        );
        assert.equal(phases(spans, 0, 1_000).orchestration, idle.length);
      }),
    );
  });

  it('count an overlap once, for what began first', () => {
    const spans: Span[] = [
      { phase: 'training', fromMs: 100, toMs: 500 },
      { phase: 'evaluation', fromMs: 400, toMs: 600 },
      { phase: 'evaluation', fromMs: 450, toMs: 480 },
    ];
    assert.deepEqual(phases(spans, 0, 1_000), { training: 400, evaluation: 100, orchestration: 500 });
  });

  it('of a history: work within activities, and what the cycle waits for between them', () => {
    const at = (ms: number) => ({ eventTime: { seconds: 0, nanos: ms * 1e6 } });
    let id = 0;
    const activity = (type: string, scheduledMs: number, startedMs: number, endedMs: number) => {
      id += 1;
      const scheduled = id * 100;
      return [
        {
          eventId: scheduled,
          ...at(scheduledMs),
          activityTaskScheduledEventAttributes: { activityType: { name: type } },
        },
        { ...at(startedMs), activityTaskStartedEventAttributes: { scheduledEventId: scheduled } },
        { ...at(endedMs), activityTaskCompletedEventAttributes: { scheduledEventId: scheduled } },
      ];
    };
    const child = {
      ...at(105),
      childWorkflowExecutionStartedEventAttributes: { workflowExecution: { workflowId: 'job/spam/1/train' } },
    };
    const events = [
      ...activity('snapshotData', 0, 10, 60),
      ...activity('notify', 70, 70, 75),
      ...activity('acceptData', 95, 96, 99),
      child,
      ...activity('requestDeploy', 300, 301, 305),
      { ...at(390), workflowExecutionSignaledEventAttributes: { signalName: 'deployFinished' } },
      ...activity('closeCycle', 400, 400, 410),
    ];
    // Numbers where the wire has longs: they read the same.
    const { spans, children } = readHistory(events as unknown as Parameters<typeof readHistory>[0]);
    assert.deepEqual(children, ['job/spam/1/train']);
    assert.deepEqual(spans, [
      { phase: 'data', fromMs: 10, toMs: 60 },
      { phase: 'waiting', fromMs: 70, toMs: 95 },
      { phase: 'data', fromMs: 96, toMs: 99 },
      { phase: 'rollout', fromMs: 305, toMs: 390 },
    ]);
  });
});
