import assert from 'node:assert/strict';
import { decideBias, type GroupCounts, newcombe, wilson } from '../../src/stats/bias.ts';
import { createRandom, type Random } from '../../src/stats/random.ts';
import { binomialSample } from './simulate.ts';

const near = (value: number | null, expected: number, within = 5e-5) =>
  assert.ok(value !== null && Math.abs(value - expected) <= within, `${value}, expected ${expected}`);
const z95 = 1.959963984540054;
const rules = { alpha: 0.05, differenceAbove: 0.1, minRows: 30 };

const group = (
  name: string,
  rows: number,
  selected: number,
  positives: number,
  truePositives: number,
): GroupCounts => ({ group: name, rows, selected, positives, truePositives });

/** Labels half positive; the model finds `recall` of them and takes `fallout` of the others for positive. */
function drawn(random: Random, name: string, rows: number, recall: number, fallout = 0.1): GroupCounts {
  const positives = binomialSample(random, rows, 0.5);
  const truePositives = binomialSample(random, positives, recall);
  return group(name, rows, truePositives + binomialSample(random, rows - positives, fallout), positives, truePositives);
}

describe('stats: bias', () => {
  it('Wilson and Newcombe: the worked values of Newcombe (1998), table II, method 10', () => {
    const interval = newcombe({ rows: 70, hits: 56 }, { rows: 80, hits: 48 }, z95);
    near(interval.lower, 0.0524);
    near(interval.upper, 0.3339);
    const none = newcombe({ rows: 10, hits: 0 }, { rows: 20, hits: 0 }, z95);
    near(none.lower, -0.1611);
    near(none.upper, 0.2775);
    near(wilson({ rows: 263, hits: 81 }, z95).lower, 0.2553);
    near(wilson({ rows: 263, hits: 81 }, z95).upper, 0.3662);
  });

  it("differences and ratio by Fairlearn's definitions, on three groups", () => {
    const groups = [
      group('age=young', 200, 120, 100, 90),
      group('age=middle', 200, 100, 100, 80),
      group('age=old', 200, 40, 100, 30),
      group('age=unknown', 10, 10, 10, 10),
    ];
    const { findings, reason } = decideBias(new Map([['age', groups]]), 1, rules);
    const [parity, opportunity, ratio] = findings;
    near(parity!.estimate, 120 / 200 - 40 / 200);
    near(opportunity!.estimate, 0.6);
    near(ratio!.estimate, 40 / 120);
    for (const finding of findings) {
      assert.deepEqual(finding.tooSmall, ['age=unknown']);
      assert.deepEqual([finding.highest, finding.lowest], ['age=young', 'age=old']);
      assert.ok(finding.lower! <= finding.estimate! && finding.estimate! <= finding.upper!, JSON.stringify(finding));
    }
    assert.deepEqual([parity!.biased, opportunity!.biased, ratio!.biased], [true, true, false]);
    assert.match(
      reason ?? '',
      /^bias: equal opportunity difference by age 60\.0 pt \(at least \d\d\.\d pt\) between age=young and age=old, above 10\.0 pt$/,
    );
  });

  it('judges nothing where fewer than two groups have enough rows, or nobody is selected', () => {
    const few = decideBias(new Map([['age', [group('a', 500, 400, 10, 9), group('b', 29, 0, 9, 0)]]]), 1, rules);
    assert.deepEqual(
      few.findings.map(({ estimate, biased }) => [estimate, biased]),
      [
        [null, false],
        [null, false],
        [null, false],
      ],
    );
    const none = decideBias(new Map([['age', [group('a', 90, 0, 40, 0), group('b', 90, 0, 40, 0)]]]), 1, rules);
    assert.deepEqual([none.findings[0]!.estimate, none.findings[2]!.estimate, none.reason], [0, null, null]);
    assert.throws(() => decideBias(new Map([['age', [group('a', 5, 6, 1, 1)]]]), 1, rules), /a: expected whole counts/);
  });

  it('alarms at the edge of the limit at most as often as it says, over windows, pairs and features (600 runs)', () => {
    let alarms = 0;
    for (let run = 0; run < 600; run++) {
      const random = createRandom(run);
      for (let window = 1; window <= 5; window++) {
        const groups = [drawn(random, 'a', 300, 0.85), drawn(random, 'b', 300, 0.75), drawn(random, 'c', 300, 0.8)];
        const other = [drawn(random, 'x', 450, 0.8), drawn(random, 'y', 450, 0.8)];
        if (
          decideBias(
            new Map([
              ['g', groups],
              ['h', other],
            ]),
            window,
            { ...rules, alpha: 0.2 },
          ).reason !== null
        ) {
          alarms++;
          break;
        }
      }
    }
    assert.ok(alarms / 600 <= 0.2, `${alarms} of 600`);
    assert.ok(alarms > 0, 'a rate of zero would say that the simulation cannot alarm');
  });

  it('finds a group whose positives are overlooked', () => {
    for (let run = 0; run < 50; run++) {
      const random = createRandom(run);
      const groups = [drawn(random, 'a', 500, 0.9), drawn(random, 'b', 500, 0.4)];
      assert.match(decideBias(new Map([['g', groups]]), 1, rules).reason ?? 'none', /^bias: /);
    }
  });
});
