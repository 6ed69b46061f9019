import assert from 'node:assert/strict';
import pc from 'picocolors';
import { cycleFigures, figuresOf } from '../../src/client/cli/demo/cycle-figures.ts';
import { blockedChart } from '../../src/client/cli/demo/report/chart.ts';
import { weeksSvg } from '../../src/client/cli/demo/report/svg.ts';
import { decisionsTable, timesTable, weeksTable } from '../../src/client/cli/demo/report/tables.ts';
import { resultText } from '../../src/client/cli/demo/report/text.ts';
import { demoResult, type Findings } from '../../src/client/cli/demo/result.ts';
import type { CycleReport, Deployment } from '../../src/contracts/manifests.ts';
import { putManifest } from '../../src/store/manifests.ts';
import { openStore } from '../../src/store/open.ts';
import { digestOfDigit, temporaryFolder } from '../store/samples.ts';
import { figures } from './weeks.ts';

const look = { paint: pc.createColors(false), width: undefined };
const weeks = [
  figures('2002-09-26', { mails: 480, spam: 17, frozen: [52, 0], loop: [3, 0] }),
  figures('2002-10-03', { mails: 509, spam: 6, frozen: [38, 0], loop: [0, 1] }),
];

const metric = (value: number) => ({ value, lower: null, upper: null, rows: 100 });
const report = (cycle: number, more: Partial<CycleReport> = {}): CycleReport => ({
  kind: 'CycleReport',
  parents: [],
  createdAt: '2026-01-01T00:00:20.000Z',
  loop: 'spam-filter',
  cycle,
  reason: '385 new rows',
  startedAt: '2026-01-01T00:00:00.000Z',
  endedAt: '2026-01-01T00:00:20.000Z',
  outcome: 'deployed',
  detail: 'version 2: the canary held at every step',
  rowCount: 2_224,
  newRows: 385,
  verdictResult: 'pass',
  precision: 'int8',
  version: cycle,
  metrics: { accuracy: metric(0.984) },
  championMetrics: { accuracy: metric(0.981) },
  gpuHours: 0,
  phasesMs: { data: 1_000, training: 4_000, evaluation: 5_000, quantization: 500, rollout: 9_000, orchestration: 500 },
  ...more,
});
const deployment: Deployment = {
  kind: 'Deployment',
  parents: [],
  createdAt: '2026-01-01T00:00:19.000Z',
  endpoint: 'mail',
  model: digestOfDigit('a'),
  outcome: 'deployed',
  reason: 'the canary held at every step',
  steps: [
    {
      weight: 25,
      startedAt: '2026-01-01T00:00:10.000Z',
      endedAt: '2026-01-01T00:00:14.000Z',
      candidateRequests: 300,
      stableRequests: 900,
      backgroundShare: 1,
      candidateErrors: 0,
      stableErrors: 0,
      decision: 'advance',
    },
    {
      weight: 50,
      startedAt: '2026-01-01T00:00:14.000Z',
      endedAt: '2026-01-01T00:00:18.000Z',
      candidateRequests: 300,
      stableRequests: 300,
      backgroundShare: 0.5,
      candidateErrors: 0,
      stableErrors: 0,
      decision: 'advance',
    },
  ],
};

const findings = (more: Partial<Findings> = {}): Findings => ({
  loop: 'spam-filter',
  startedAt: new Date('2026-01-01T00:00:00.000Z'),
  durationMs: 200_000,
  stackReadyMs: 9_000,
  cycles: [figuresOf(report(1), undefined), figuresOf(report(2), deployment)],
  weeks,
  unanswered: [],
  traffic: { sent: 1_800, answered: 1_800, failed: 0, skipped: 0 },
  ratePerSecond: 300,
  ...more,
});

describe('Figures of the cycles', () => {
  it('come from reports and deployments in the store, oldest first', async () => {
    const folder = await temporaryFolder();
    try {
      const store = await openStore(folder.path);
      const digest = await putManifest(store, deployment);
      async function* newestFirst() {
        yield report(2, { deployment: digest });
        yield report(1);
      }
      const [first, second] = await cycleFigures(store, newestFirst());
      assert.equal(first?.cycle, 1);
      assert.deepEqual(first?.canary, []);
      assert.deepEqual(second?.canary[0], {
        weight: 25,
        candidateRequests: 300,
        currentRequests: 900,
        backgroundShare: 1,
      });
    } finally {
      await folder.remove();
    }
  });

  it('say on how many requests a deployment rests, and how many of them were background', () => {
    const lines = decisionsTable(findings().cycles, look).split('\n');
    assert.equal(lines.length, 3);
    // (1,200 · 1 + 600 · 0.5) / 1,800
    assert.match(lines[2]!, /25%: 300 of 1200 · 50%: 300 of 600, 83% background/);
    assert.match(lines[2]!, /98\.4 % +98\.1 %/);
  });

  it('show what a cycle does not have as a dash', () => {
    const { verdictResult, precision, version, metrics, championMetrics, rowCount, ...bare } = report(1);
    const line = decisionsTable([figuresOf({ ...bare, outcome: 'noData' }, undefined)], look).split('\n')[1]!;
    assert.match(line, /^ +1 +– +385 +– +– +– +noData +– +– +– /);
  });

  it('sum up by phase, whatever phases there are', () => {
    const cycles = [
      figuresOf(report(1, { phasesMs: { training: 4_000, waiting: 2_500, orchestration: 100 } }), undefined),
    ];
    const [head, line] = timesTable(demoResult(findings({ cycles })), look).split('\n');
    assert.match(head!, /waiting +orchestration +total$/);
    assert.match(line!, /2\.50 +0\.10 +6\.60$/);
  });

  it('give the share of orchestration', () => {
    assert.equal(demoResult(findings()).orchestrationShare, 0.025);
    assert.equal(demoResult(findings({ cycles: [] })).orchestrationShare, null);
  });
});

describe('The result of a demo', () => {
  it('is without problems when every cycle ended by evidence and every mail was answered', () => {
    const cycles = (['deployed', 'failedGate', 'inconclusive', 'rejected'] as const).map((outcome, i) =>
      figuresOf(report(i + 1, { outcome }), undefined),
    );
    assert.deepEqual(demoResult(findings({ cycles })).problems, []);
  });

  it('names everything that went wrong', () => {
    const [first] = weeks;
    const { problems } = demoResult(
      findings({
        cycles: [figuresOf(report(3, { outcome: 'failed', detail: 'no space left' }), undefined)],
        unanswered: [{ messageId: 'a', problem: '500 PredictionFailed' }],
        weeks: [{ ...first!, frozen: { ...first!.frozen, mails: 479 } }],
        traffic: { sent: 10, answered: 8, failed: 2, skipped: 0 },
      }),
    );
    assert.deepEqual(problems, [
      'cycle 3 ended as failed: no space left',
      '1 mails got no answer, the first with: 500 PredictionFailed',
      'the frozen model answered 479 mails and the loop 480: not the same mails',
      '2 of 10 background requests failed',
    ]);
  });

  it('has every week and the pooled line in its table', () => {
    const lines = weeksTable(demoResult(findings()), look).split('\n');
    assert.equal(lines.length, 4);
    assert.match(lines[1]!, /^2002-09-26 +480 +17 +52 +0 +89\.2 % +3 +0 +99\.4 % +0 +17 +96\.5 %$/);
    assert.match(lines[3]!, /^pooled +989 +23 +90 +0 +90\.9 % +3 +1 +99\.6 % +0 +23 +97\.7 %$/);
  });

  it('says for people where drift comes from, which weeks are small, and what failed', () => {
    const text = resultText(demoResult(findings({ traffic: { sent: 10, answered: 9, failed: 1, skipped: 0 } })), look);
    assert.match(text, /how the corpus was collected/);
    assert.match(text, /Week of 2002-10-03: 6 spam is too small to judge recall; .* it takes \d+ spam, [\d,]+ mails/);
    assert.match(text, /Problems\n1 of 10 background requests failed/);
  });

  it('says why a cycle shipped nothing', () => {
    const detail = 'accuracy against the champion is undecided. About 1,450 rows would decide.';
    const cycles = [
      figuresOf(report(1), undefined),
      figuresOf(report(2, { outcome: 'inconclusive', detail }), undefined),
    ];
    const text = resultText(demoResult(findings({ cycles })), look);
    assert.ok(text.includes(`Cycle 2, inconclusive: ${detail}`));
    assert.ok(!text.includes('Cycle 1,'));
  });
});

describe('Chart in the terminal', () => {
  const chart = (columns: number) => blockedChart(weeks, { paint: look.paint, columns }).split('\n');

  it('draws a bar for each model and week to the same scale', () => {
    const [frozen, loop] = chart(60);
    const length = (line: string) => line.split('█').length - 1;
    assert.match(frozen!, /^2002-09-26 frozen █+ 52$/);
    assert.match(loop!, /^ +loop +█+[▏▎▍▌▋▊▉]? 3$/);
    assert.ok(Math.abs(length(loop!) / length(frozen!) - 3 / 52) < 0.05);
  });

  it('draws nothing for zero, and something for one of many', () => {
    assert.match(chart(40)[3]!, /loop +0$/);
    const many = [{ ...weeks[0]!, frozen: { mails: 1e6, blocked: 100_000, missed: 0 }, loop: weeks[0]!.loop }];
    assert.match(blockedChart(many, { paint: look.paint, columns: 40 }), /loop +▏ 3$/);
  });

  it('is no wider than it may be', () => {
    for (const columns of [40, 80, 100])
      for (const line of chart(columns)) assert.ok(line.length <= columns, `${line.length} > ${columns}`);
  });
});

describe('Chart as SVG', () => {
  const svg = weeksSvg(weeks);

  it('has a bar and its number for each model, week and kind of error', () => {
    assert.equal(svg.match(/<rect class="(frozen|loop)" [^>]*height="[\d.]+"/g)?.length, 2 + 2 * 2 * 2);
    for (const number of [52, 38, 3]) assert.match(svg, new RegExp(`class="value"[^>]*>${number}<`));
  });

  it('is well-formed and stays within its frame', () => {
    const open: string[] = [];
    for (const [, close, name, selfClosing] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g))
      if (close) assert.equal(open.pop(), name);
      else if (!selfClosing) open.push(name!);
    assert.deepEqual(open, []);
    const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg)!;
    for (const [, x, y, w, h] of svg.matchAll(
      /<rect class="(?:frozen|loop)" x="([\d.-]+)" y="([\d.-]+)" width="([\d.]+)" height="([\d.]+)"/g,
    )) {
      assert.ok(Number(x) >= 0 && Number(x) + Number(w) <= Number(width));
      assert.ok(Number(y) >= 0 && Number(y) + Number(h) <= Number(height));
    }
    assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
  });

  it('says in words what it shows', () => {
    assert.match(
      svg,
      /<desc[^>]*>Of 989 mails the frozen model wrongly blocked 90 and missed 0 spam; the loop wrongly blocked 3 and missed 1\.<\/desc>/,
    );
  });

  it('can be drawn of no weeks and of weeks without errors', () => {
    for (const few of [[], [figures('2002-10-10', { mails: 37, spam: 0, frozen: [0, 0], loop: [0, 0] })]])
      assert.doesNotMatch(weeksSvg(few), /NaN|undefined|Infinity/);
  });
});
