import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Digest } from '../../../src/contracts/digest.ts';
import type { Manifest } from '../../../src/contracts/manifests.ts';
import type { Ref } from '../../../src/store/types.ts';
import { invariants, violations } from './check.ts';
import type { Evidence, JobEvidence } from './evidence.ts';

const digest = (text: string): Digest => `sha256:${Buffer.from(text).toString('hex').padEnd(64, '0').slice(0, 64)}`;
const timeOf = (ms: number): string => new Date(Date.UTC(2026, 0, 1) + ms).toISOString();
const msOf = (ms: number): number => Date.parse(timeOf(ms));

/** A log with one entry a second. */
const log = (name: string, digests: readonly Digest[], fromMs = 0): Ref[] =>
  digests.map((value, i) => ({
    ...{ name, entry: i + 1, digest: value, operation: `${name}/${i + 1}`, by: 'goto3', reason: 'test' },
    time: timeOf(fromMs + i * 1_000),
  }));

const succeeded = (endedAt: string): JobEvidence['exit'] => ({ state: 'succeeded', endedAt });
const failed = (endedAt: string, failureClass: 'infrastructure' | 'userError'): JobEvidence['exit'] => ({
  state: 'failed',
  failureClass,
  endedAt,
});

/** What an undisturbed loop leaves after so many cycles, of which some training jobs took several attempts. */
function goodEvidence({ attempts, requests }: { attempts: number[]; requests: number }): Evidence {
  const cycles = attempts.length;
  const each = <T>(of: (n: number) => T): T[] => Array.from({ length: cycles }, (_, i) => of(i + 1));
  const manifests: Record<string, Manifest> = {};
  const put = (name: string, manifest: object): Digest => {
    manifests[digest(name)] = { parents: [], createdAt: timeOf(0), ...manifest } as unknown as Manifest;
    return digest(name);
  };
  const models = each((n) => {
    const dataset = put(`dataset ${n}`, { kind: 'Dataset', rowCount: 100 * n });
    const run = put(`run ${n}`, { kind: 'Run' });
    const model = put(`model ${n}`, { kind: 'Model', loop: 'tiny', cycle: n, run, dataset });
    put(`verdict ${n}`, { kind: 'Verdict', candidate: model, verdict: { result: 'pass' } });
    return model;
  });
  const reports = each((n) => put(`report ${n}`, { kind: 'CycleReport', loop: 'tiny', cycle: n }));
  const desired = Object.fromEntries(
    each((n) => [
      digest(`desired ${n}`),
      {
        ...{ schema: 'goto3/desired/v1' as const, endpoint: 'mail', generation: n, frozen: null },
        variants: [{ name: 'current', model: models[n - 1]!, weight: 100, shadow: false }],
      },
    ]),
  );
  // Desired states stand 10 s after the versions; each is asked in its own second.
  const captures = Array.from({ length: requests }, (_, i) => ({
    ...{ inferenceId: `r${i}`, timeMs: msOf(10_000 + (i % cycles) * 1_000 + 10), generation: (i % cycles) + 1 },
    ...{ variant: 'current', model: models[i % cycles]!, shadow: false, background: false },
    ...{ answer: { label: 'ham', score: 0.1 }, latencyMs: 1 },
  }));
  const jobs = attempts.flatMap((count, i) =>
    Array.from({ length: count }, (_, a): JobEvidence => {
      const endedAt = timeOf(a * 100 + 50);
      return {
        ...{ name: `tiny/${i + 1}/train/${a + 1}`, submittedAt: timeOf(a * 100), claims: ['wrapper'] },
        exit: a + 1 === count ? succeeded(endedAt) : failed(endedAt, 'infrastructure'),
      };
    }),
  );
  return {
    commands: [
      { kind: 'apply', loop: 'tiny', specDigest: digest('spec') },
      { kind: 'retrain', loop: 'tiny', cycle: cycles },
      { kind: 'deliver', loop: 'tiny', rows: 100 * cycles },
    ],
    refs: {
      'loops/tiny/spec': log('loops/tiny/spec', [digest('spec')]),
      'loops/tiny/cycles': log(
        'loops/tiny/cycles',
        each((n) => digest(`opened ${n}`)),
      ),
      'loops/tiny/reports': log('loops/tiny/reports', reports),
      'loops/tiny/dataset': log(
        'loops/tiny/dataset',
        each((n) => digest(`dataset ${n}`)),
      ),
      'models/tiny/versions': log('models/tiny/versions', models),
      'models/tiny/champion': log('models/tiny/champion', models),
      'endpoints/mail/desired': log(
        'endpoints/mail/desired',
        each((n) => digest(`desired ${n}`)),
        10_000,
      ),
    },
    ...{ manifests, desired, jobs, verdictsThatDiffer: [], storeProblems: [], secretIn: [], processesLeft: [] },
    starts: jobs.map(({ name }, i) => ({ job: name, pid: 100 + i })),
    histories: attempts.map((count, i) => ({
      ...{ workflowId: `job/tiny/${i + 1}/train`, runId: `run-${i}`, events: 40, replayFailure: null },
      submitted: Array.from({ length: count }, (_, a) => `tiny/${i + 1}/train/${a + 1}`),
    })),
    captures: { mail: captures },
    requests: { mail: captures.map(({ inferenceId, timeMs }) => ({ inferenceId, atMs: timeMs, status: 200 })) },
    endpointKillsMs: [],
    clockSpreadMs: 0,
  };
}

const shape = fc.record({
  attempts: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 5 }),
  requests: fc.integer({ min: 5, max: 30 }),
});

/** One way to break each invariant, or several; what is chosen among is chosen by the property. */
type Damage = (evidence: Evidence, pick: <T>(from: readonly T[]) => T) => void;

const damages: Record<string, Record<string, Damage>> = {
  acknowledgedCommandsHold: {
    'a retrain that opened no cycle': (e) => e.commands.push({ kind: 'retrain', loop: 'tiny', cycle: 99 }),
    'an apply that left no spec': (e) => e.commands.push({ kind: 'apply', loop: 'tiny', specDigest: digest('other') }),
    'rows that never arrived': (e) => e.commands.push({ kind: 'deliver', loop: 'tiny', rows: 1e6 }),
  },
  refsAreLogs: {
    'a hole': (e, pick) => {
      const name = pick(Object.keys(e.refs).filter((ref) => e.refs[ref]!.length > 1));
      e.refs[name]!.shift();
    },
    'an operation done twice': (e, pick) => {
      const entries = e.refs[pick(['loops/tiny/cycles', 'models/tiny/champion'])]!;
      entries[1] = { ...entries[1]!, operation: entries[0]!.operation };
    },
    'a time that goes back': (e, pick) => {
      const entries = pick(Object.values(e.refs).filter(({ length }) => length > 1));
      entries[1] = { ...entries[1]!, time: timeOf(-1) };
    },
  },
  cyclesAreNumberedOnce: {
    'a cycle reported twice': (e) => {
      const reports = e.refs['loops/tiny/reports']!;
      reports[1] = { ...reports[1]!, digest: reports[0]!.digest };
    },
    'a report of a cycle that was never opened': (e) => e.refs['loops/tiny/cycles']!.pop(),
    'a report that is none': (e) => {
      e.refs['loops/tiny/reports']![0]!.digest = digest('spec');
    },
  },
  versionsHaveLineage: {
    'a champion from nowhere': (e) => {
      e.refs['models/tiny/champion']![0]!.digest = digest('nowhere');
    },
    'two versions of one cycle': (e) => {
      const [first, second] = e.refs['models/tiny/versions']!;
      e.manifests[second!.digest] = e.manifests[first!.digest]!;
    },
    'a version without its dataset': (e) => delete e.manifests[digest('dataset 1')],
    'a version without its run': (e) => delete e.manifests[digest('run 2')],
  },
  storeIsSound: { 'a corrupt blob': (e) => e.storeProblems.push('corruptBlob sha256:00: other bytes') },
  verdictsReplay: { 'a verdict that differs': (e) => e.verdictsThatDiffer.push(digest('verdict 1')) },
  secretStaysSecret: { 'a secret in a log': (e) => e.secretIn.push('logs/worker-cpu.log') },
  noJobRunsTwice: {
    'two claims': (e, pick) => pick(e.jobs).claims.push('wrapper'),
    'a program started twice': (e, pick) => e.starts.push({ ...pick(e.starts), pid: 7 }),
    'a program of no job': (e) => e.starts.push({ job: 'tiny/9/train/1', pid: 8 }),
  },
  attemptsFollowFailures: {
    'an attempt after a success': (e) => {
      e.jobs.push({ name: 'tiny/1/train/1', submittedAt: '', claims: ['wrapper'], exit: succeeded(timeOf(1)) });
    },
    'an attempt beside a living one': (e) => {
      const name = 'tiny/8/train';
      e.jobs.push({ name: `${name}/1`, submittedAt: timeOf(0), claims: ['wrapper'], exit: null });
      e.jobs.push({ name: `${name}/2`, submittedAt: timeOf(1), claims: ['wrapper'], exit: succeeded(timeOf(9)) });
    },
    'an attempt before the end of the last': (e) => {
      const name = 'tiny/8/train';
      const exit = failed(timeOf(10), 'infrastructure');
      e.jobs.push({ name: `${name}/1`, submittedAt: timeOf(0), claims: ['wrapper'], exit });
      e.jobs.push({ name: `${name}/2`, submittedAt: timeOf(5), claims: ['wrapper'], exit: succeeded(timeOf(9)) });
    },
    'a number left out': (e) => {
      e.jobs.push({ name: 'tiny/8/train/2', submittedAt: timeOf(0), claims: ['wrapper'], exit: null });
    },
  },
  onlyPeopleRetryWhatIsBroken: {
    'a user error tried again': (e) => {
      const exit = failed(timeOf(1), 'userError');
      e.jobs.push({ name: 'tiny/8/train/1', submittedAt: timeOf(0), claims: ['wrapper'], exit });
      e.jobs.push({ name: 'tiny/8/train/2', submittedAt: timeOf(5), claims: ['wrapper'], exit: null });
    },
  },
  jobsAreInHistory: { 'a job nobody asked for': (e, pick) => pick(e.histories).submitted.shift() },
  historiesAreBounded: {
    'a history that grows': (e, pick) => {
      pick(e.histories).events = 5_000;
    },
  },
  historiesReplay: {
    'a history of other code': (e, pick) => {
      pick(e.histories).replayFailure = 'Nondeterminism error';
    },
  },
  nothingIsLeft: { 'a process': (e) => e.processesLeft!.push(4711) },
  weightsAreWhole: {
    'a weight that is missing': (e, pick) => {
      pick(Object.values(e.desired)).variants[0]!.weight = 50;
    },
    'two stable variants': (e, pick) => {
      const { variants } = pick(Object.values(e.desired));
      variants[0]!.weight = 50;
      variants.push({ ...variants[0]!, name: 'stable' });
    },
    'a generation that comes again': (e) => {
      e.desired[digest('desired 2')]!.generation = 1;
    },
  },
  onlyBlessedModelsAnswer: {
    'a model that is no version': (e, pick) => {
      pick(e.captures.mail!).model = digest('stranger');
    },
    'a model without a passing verdict': (e) => {
      const verdict = e.manifests[digest('verdict 1')]!;
      if (verdict.kind === 'Verdict') verdict.verdict.result = 'fail';
    },
    'a model before its time': (e) => {
      e.captures.mail![0]!.timeMs = msOf(-1);
    },
  },
  replicasFollow: {
    'an answer of another generation': (e, pick) => {
      pick(e.captures.mail!).generation = 77;
    },
    'an answer by a model that is not served': (e) => {
      const [first] = e.captures.mail!;
      first!.model = digest('model 2');
    },
    'an answer long after the next generation': (e) => {
      e.captures.mail![0]!.timeMs = msOf(60_000);
    },
  },
  requestsAreAnsweredOnce: {
    'two answers': (e, pick) => e.captures.mail!.push({ ...pick(e.captures.mail!) }),
    'an answer that is not on record': (e, pick) => {
      const { inferenceId } = pick(e.captures.mail!);
      e.captures.mail = e.captures.mail!.filter((record) => record.inferenceId !== inferenceId);
    },
  },
};

describe('the checker', () => {
  it('finds nothing wrong with good evidence', () => {
    fc.assert(fc.property(shape, (s) => assert.deepEqual(violations(goodEvidence(s)), [])));
  });

  it('knows a way to break every invariant', () => {
    assert.deepEqual(Object.keys(damages).sort(), Object.keys(invariants).sort());
  });

  it('forgives as much time as a clock has jumped by, and no more', () => {
    const evidence = goodEvidence({ attempts: [1, 1], requests: 5 });
    evidence.captures.mail![0]!.timeMs -= 3_600_000;
    assert.notDeepEqual(violations(evidence), []);
    evidence.clockSpreadMs = 3_600_000;
    assert.deepEqual(violations(evidence), []);
    evidence.captures.mail![0]!.timeMs -= 3_600_000;
    assert.notDeepEqual(violations(evidence), []);
  });

  it('forgives evidence that a killed endpoint had not written, and no other', () => {
    const evidence = goodEvidence({ attempts: [1, 1], requests: 5 });
    const [lost] = evidence.captures.mail!.splice(0, 1);
    evidence.endpointKillsMs.push(lost!.timeMs + 500);
    assert.deepEqual(violations(evidence), []);
    evidence.endpointKillsMs[0] = lost!.timeMs + 5_000;
    assert.equal(violations(evidence).length, 1);
  });

  for (const [name, ways] of Object.entries(damages))
    for (const [what, damage] of Object.entries(ways))
      it(`${name} fails on ${what}, and shows it`, () => {
        fc.assert(
          fc.property(shape, fc.nat(), (s, seed) => {
            const evidence = goodEvidence(s);
            damage(evidence, (from) => from[seed % from.length]!);
            const found = invariants[name]!(evidence);
            assert.notDeepEqual(found, []);
            assert.ok(found.every((text) => text.length > 15));
          }),
          { numRuns: 30 },
        );
      });
});
