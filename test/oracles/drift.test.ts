import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { newcombe, wilson } from '../../src/stats/bias.ts';
import { normalQuantile } from '../../src/stats/distributions.ts';
import { jensenShannonDistance, populationStability } from '../../src/stats/drift-distances.ts';
import { fisherExact, kolmogorovSmirnov } from '../../src/stats/drift-tests.ts';
import { createRandom } from '../../src/stats/random.ts';
import { normalSample } from '../stats/simulate.ts';

const python = process.env.GOTO3_ORACLE_PYTHON;
const install = 'python3 -m venv V && V/bin/pip install scipy statsmodels; GOTO3_ORACLE_PYTHON=V/bin/python';

interface Case {
  ask: string;
  from: Record<string, unknown>;
  check: (theirs: never) => void;
}

const random = createRandom(31);
const whole = (below: number) => Math.floor(random.uniform() * below);
const near = (ours: number, theirs: number, within: number, what: string) =>
  assert.ok(Math.abs(ours - theirs) <= within * Math.max(Math.abs(theirs), 1e-290), `${what}: ${ours}, ${theirs}`);

function cases(): Case[] {
  const all: Case[] = [];
  for (let i = 0; i < 40; i++) {
    const cells = 2 + whole(12);
    const counts = () => Array.from({ length: cells }, (_, j) => (j === 0 ? 1 : 0) + whole(10 ** (1 + whole(4))));
    const [reference, live] = [counts(), counts()];
    const ours = [populationStability(reference, live), jensenShannonDistance(reference, live)];
    for (const [j, ask] of ['psi', 'jensenShannon'].entries())
      all.push({ ask, from: { reference, live }, check: (theirs: number) => near(ours[j]!, theirs, 1e-9, ask) });

    const [referenceRows, liveRows] = [1 + whole(2000), 1 + whole(800)];
    const [a, b] = [whole(referenceRows + 1), whole(liveRows + 1)];
    const p = fisherExact({ rows: referenceRows, have: a }, { rows: liveRows, have: b }).p;
    all.push({
      ask: 'fisher',
      from: { referenceRows, liveRows, reference: a, live: b },
      check: (theirs: number) => near(p, theirs, 1e-7, `fisher ${a}/${referenceRows} ${b}/${liveRows}`),
    });

    const shift = i % 2 === 0 ? 0 : random.uniform();
    const numbers = (n: number, by: number) =>
      Array.from({ length: n }, () => normalSample(random) + by).sort((x, y) => x - y);
    const [x, y] = [numbers(20 + whole(400), 0), numbers(20 + whole(200), shift)];
    const test = kolmogorovSmirnov(x, y);
    all.push({
      ask: 'kolmogorovSmirnov',
      from: { reference: x, live: y },
      check: (theirs: { distance: number; p: number }) => {
        near(test.distance, theirs.distance, 1e-9, 'distance');
        // A bound: never below the exact p-value, and not far above it where it matters.
        assert.ok(test.p >= theirs.p * (1 - 1e-9), `${test.p} is below the exact ${theirs.p}`);
        assert.ok(test.p <= theirs.p ** 0.8 * Math.E, `${test.p} is far from the exact ${theirs.p}`);
      },
    });

    const alpha = 10 ** -(1 + whole(6));
    const z = -normalQuantile(alpha / 2);
    const rows = 1 + whole(500);
    const [one, two] = [
      { rows, hits: whole(rows + 1) },
      { rows: 50, hits: whole(51) },
    ];
    const [w, d] = [wilson(one, z), newcombe(one, two, z)];
    const pair = (ours: { lower: number; upper: number }, what: string) => (theirs: [number, number]) => {
      assert.ok(Math.abs(ours.lower - theirs[0]) < 1e-9, `${what} lower: ${ours.lower}, ${theirs[0]}`);
      assert.ok(Math.abs(ours.upper - theirs[1]) < 1e-9, `${what} upper: ${ours.upper}, ${theirs[1]}`);
    };
    all.push(
      { ask: 'wilson', from: { ...one, alpha }, check: pair(w, 'wilson') },
      {
        ask: 'newcombe',
        from: { a: [one.hits, one.rows], b: [two.hits, two.rows], alpha },
        check: pair(d, 'newcombe'),
      },
    );
  }
  return all;
}

describe(`oracle: drift and bias against scipy and statsmodels${python ? '' : ` [${install}]`}`, function () {
  this.timeout(120_000);
  (python ? it : it.skip)('distances, exact tests, intervals', () => {
    const asked = cases();
    const program = fileURLToPath(new URL('drift.py', import.meta.url));
    const input = asked.map(({ ask, from }) => JSON.stringify({ ask, ...from })).join('\n');
    const { status, stdout, stderr } = spawnSync(python!, [program], { input, encoding: 'utf8', maxBuffer: 2 ** 26 });
    assert.equal(status, 0, stderr);
    const answers = stdout.trim().split('\n');
    assert.equal(answers.length, asked.length);
    for (const [i, { check }] of asked.entries()) check(JSON.parse(answers[i]!) as never);
  });
});
