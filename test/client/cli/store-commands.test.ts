import assert from 'node:assert/strict';
import { appendFile, chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pc from 'picocolors';
import { rollBackByHand } from '../../../src/client/break-glass.ts';
import { listCycles } from '../../../src/client/cli/cycle-facts.ts';
import { endpointsToServe } from '../../../src/client/cli/endpoints-to-serve.ts';
import { explainCycle, explanationText } from '../../../src/client/cli/explain.ts';
import { listModels } from '../../../src/client/cli/model-facts.ts';
import { Refused } from '../../../src/client/errors.ts';
import { type LoopFileContent, readLoopFile } from '../../../src/client/loop-file.ts';
import { championAt, resolveModel } from '../../../src/client/models.ts';
import { findVerdict, replayVerdict } from '../../../src/client/replay-verdict.ts';
import { DesiredState } from '../../../src/contracts/endpoint.ts';
import { refNames } from '../../../src/contracts/names.ts';
import { readEnvironment } from '../../../src/stack/environment.ts';
import { getJson, getManifest, putJson, putManifest } from '../../../src/store/manifests.ts';
import { openStore } from '../../../src/store/open.ts';
import type { KeptStore } from '../../../src/store/upkeep.ts';
import { desired, endpoint, type FilledStore, fillStore, loop } from '../filled-store.ts';
import { documentOf, runCli } from './run-cli.ts';

const loopFile = fileURLToPath(new URL('../loop.yaml', import.meta.url));
const plain = { paint: pc.createColors(false), width: undefined };

describe('commands that need the store alone', function () {
  this.timeout(60_000);
  let home: string;
  let store: KeptStore;
  let filled: FilledStore;
  let content: LoopFileContent;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'goto3-cli-'));
    store = await openStore(join(home, 'store'), { durability: 'fast' });
    content = await readLoopFile(loopFile);
    filled = await fillStore(store, content);
  });
  afterEach(async () => {
    await rm(home, { recursive: true });
  });

  it('cycle list, models list and store verify answer while Temporal is away', async () => {
    const [list, models, verify] = await Promise.all([
      runCli(home, ['cycle', 'list', loop]),
      runCli(home, ['models', 'list', '--json']),
      runCli(home, ['store', 'verify', '--json']),
    ]);
    assert.deepEqual(
      [list, models, verify].map(({ code, stderr }) => ({ code, stderr })),
      Array.from({ length: 3 }, () => ({ code: 0, stderr: '' })),
    );
    assert.match(list.stdout, /^ +1 {2}deployed/m);
    assert.match(list.stdout, /^ +2 {2}deployed .* pass .*0\.983 \[0\.\d+, 0\.\d+\] \(0\.960\).* 1m 60% .* 5\.0s 5%/m);
    assert.match(list.stdout, /^ +3 {2}open/m);
    assert.deepEqual(documentOf<{ models: unknown[] }>(models).models, [
      { ...documentOf<{ models: object[] }>(models).models[0], model: loop, versions: 2, champion: 2, anchor: null },
    ]);
    assert.deepEqual(documentOf<{ problems: unknown[] }>(verify).problems, []);
  });

  it('store verify finds damage and exits with 1', async () => {
    const hex = filled.reports[1].slice('sha256:'.length);
    const path = join(home, 'store', 'blobs', hex.slice(0, 2), hex);
    await chmod(path, 0o600);
    await appendFile(path, ' ');
    const run = await runCli(home, ['store', 'verify']);
    assert.equal(run.code, 1);
    assert.match(run.stdout, new RegExp(`corruptBlob +${filled.reports[1]}`));
  });

  it('verdict replay gives the same bytes, and exits with 1 when a verdict says something else', async () => {
    const honest = await getManifest(store, filled.verdicts[1], 'Verdict');
    const forged = await putManifest(store, {
      ...honest,
      verdict: { ...honest.verdict, reasons: ['all is well'], bounds: honest.verdict.bounds.slice(0, 1) },
    });
    const replayed = await replayVerdict(store, await findVerdict(store, `${loop}/2`));
    assert.deepEqual([replayed.equal, replayed.digest, replayed.rows], [true, filled.verdicts[1], 600]);
    assert.equal((await replayVerdict(store, await findVerdict(store, filled.reports[0]))).equal, true);
    const different = await runCli(home, ['verdict', 'replay', forged, '--json']);
    assert.equal(different.code, 1);
    const document = documentOf<{ equal: boolean; recomputed: unknown }>(different);
    assert.equal(document.equal, false);
    assert.deepEqual(document.recomputed, honest.verdict);
  });

  it('verdict replay notices rows that were changed behind an evaluation', async () => {
    const honest = await getManifest(store, filled.verdicts[1], 'Verdict');
    const evaluation = await getManifest(store, honest.evaluations[0]!, 'Evaluation');
    const text = Buffer.from(await store.blobs.read(evaluation.outcomes)).toString('utf8');
    const outcomes = await store.blobs.put(Buffer.from(text.replaceAll('"predicted":"spam"', '"predicted":"ham"')));
    const other = await putManifest(store, { ...evaluation, outcomes });
    const tampered = await putManifest(store, { ...honest, evaluations: [other, ...honest.evaluations.slice(1)] });
    const replayed = await replayVerdict(store, tampered);
    assert.deepEqual([replayed.equal, replayed.stored.result, replayed.recomputed.result], [false, 'pass', 'fail']);
  });

  it('endpoint rollback --by-hand moves the desired state back, freezes, bars, and never returns', async () => {
    const [v1, v2] = filled.models;
    const run = await runCli(home, [
      ...['endpoint', 'rollback', endpoint, '--by-hand', '--reason', 'false alarms', '--by', 'ann', '--json'],
    ]);
    assert.equal(run.code, 0, run.stderr);
    const { from, to, generation } = documentOf<{ from: string; to: string; generation: number }>(run);
    assert.deepEqual({ from, to, generation }, { from: v2, to: v1, generation: 3 });
    const ref = await store.refs.read(refNames.desired(endpoint));
    const state = await getJson(store, DesiredState, ref!.digest);
    assert.deepEqual(state.variants, desired(3, v1).variants);
    assert.equal(state.frozen?.by, 'ann');
    assert.equal((await store.refs.read(refNames.barred(endpoint)))?.digest, v2);
    await assert.rejects(rollBackByHand(store, endpoint, { requestId: 'again', reason: 'r', by: 'ann' }), Refused);
  });

  it('rolls a canary back to the version that carries the rest, and says who else moved it', async () => {
    const [v1, v2] = filled.models;
    const name = refNames.desired(endpoint);
    const third = await putManifest(store, { ...(await getManifest(store, v2, 'Model')), cycle: 3 });
    const canary: DesiredState = {
      ...desired(3, v2),
      variants: [
        { name: 'current', model: v2, weight: 90, shadow: false },
        { name: 'candidate', model: third, weight: 10, shadow: false },
        { name: 'stable', model: v1, weight: 0, shadow: true },
      ],
    };
    const why = { operation: 'canary', by: 'endpoint/mail', reason: 'canary 10 %' };
    await store.refs.compareAndSet(name, await store.refs.read(name), await putJson(store, DesiredState, canary), why);
    const done = await rollBackByHand(store, endpoint, { requestId: 'r', reason: 'errors', by: 'ann' });
    assert.deepEqual([done.from, done.to, done.generation], [undefined, v2, 4]);
    const barred = [];
    for await (const entry of store.refs.history(refNames.barred(endpoint))) barred.push(entry.digest);
    assert.deepEqual(barred, [third]);
  });

  it('knows what was champion when, by version, digest and time', async () => {
    const [v1, v2] = filled.models;
    assert.equal(await resolveModel(store, `${loop}@1`), v1);
    assert.equal(await resolveModel(store, loop), v2);
    assert.equal(await resolveModel(store, v1), v1);
    await assert.rejects(resolveModel(store, `${loop}@9`), /no version 9; its newest is 2/);
    await assert.rejects(resolveModel(store, '../x'), /expected a digest/);
    assert.equal((await championAt(store, loop))?.version, 2);
    assert.equal((await listModels(store))[0]?.versions, 2);
  });

  it('explains a rollout by its requests, and names an unknown cycle', async () => {
    const explanation = await explainCycle(store, `${loop}/2`);
    const text = explanationText(explanation, plain);
    assert.match(text, /accuracy +overall +champion .* > -0\.0200 +600 +pass/);
    assert.match(text, /10 % +312 +0 +2,811 +1 +90\.0 % .* advance: no harm/);
    assert.match(text, /^2 {2}Run {2}spam-filter\/2\/train, attempt 1$/m);
    await assert.rejects(explainCycle(store, `${loop}/3`), /has no report: it is running/);
    const { cycles, metrics } = await listCycles(store, loop);
    assert.deepEqual(metrics, ['accuracy', 'falsePositiveRate']);
    assert.deepEqual(cycles[0]?.phases?.training, { ms: 60_000, share: 0.6 });
  });

  it('up would serve what loops want, what it was told, and what it served before', async () => {
    const environment = readEnvironment({ GOTO3_HOME: home }, home);
    assert.deepEqual(await endpointsToServe(environment, store, ['other']), ['mail', 'other']);
    await assert.rejects(endpointsToServe(environment, store, ['../x']), /--endpoint "\.\.\/x": expected lower-case/);
  });

  it('apply --dry-run shows the difference and changes nothing', async () => {
    const file = join(home, 'loop.yaml');
    const text = await readFile(loopFile, 'utf8');
    await writeFile(file, text.replace('canary: [10%, 50%]', 'canary: [20%]'));
    const before = await store.refs.read(refNames.loopSpec(loop));
    const run = await runCli(home, ['apply', file, '--dry-run', '--json']);
    assert.equal(run.code, 0, run.stderr);
    const { outcome, changes } = documentOf<{ outcome: string; changes: { field: string }[] }>(run);
    assert.equal(outcome, 'updated');
    assert.deepEqual(
      changes.filter(({ field }) => field !== 'folder'),
      [{ field: 'rollout.canary', before: ['10%', '50%'], after: ['20%'] }],
    );
    assert.deepEqual(await store.refs.read(refNames.loopSpec(loop)), before);
  });
});

describe('commands without a store, a stack or a server', function () {
  this.timeout(60_000);
  let home: string;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'goto3-cli-'));
  });
  after(async () => {
    await rm(home, { recursive: true });
  });

  it('say what is wrong and what to do, each with its exit code and one document', async () => {
    const bad = join(home, 'bad.yaml');
    await writeFile(bad, 'loop: Spam\n');
    const [usage, asJson, noServer, status] = await Promise.all([
      runCli(home, ['cycle', 'approve', 'spam/1']),
      runCli(home, ['apply', bad, '--json']),
      runCli(home, ['loop', 'pause', 'spam', '--reason', 'r', '--json']),
      runCli(home, ['status', '--json'], {}),
    ]);
    assert.deepEqual([usage.code, usage.stdout], [2, '']);
    assert.match(usage.stderr, /required option '--reason <text>'/);
    assert.equal(asJson.code, 2);
    assert.equal(documentOf<{ error: { type: string } }>(asJson).error.type, 'InvalidFile');
    assert.match(asJson.stderr, /bad\.yaml:\n.*apiVersion: expected "goto3\/v1"\n {2}loop: expected lower-case/s);
    assert.equal(noServer.code, 4);
    assert.equal(documentOf<{ error: { type: string } }>(noServer).error.type, 'NoServer');
    assert.match(noServer.stderr, /no Temporal server answers at 127\.0\.0\.1:1: start one with goto3 up/);
    assert.equal(status.code, 0);
    const page = documentOf<{ temporal: { reachable: boolean }; problems: string[] }>(status);
    assert.equal(page.temporal.reachable, false);
    assert.match(page.problems.join('\n'), /^Temporal: no stack was ever started in .*: goto3 up does/);
  });

  it('doctor lists what it found, as one document', async () => {
    const run = await runCli(home, ['doctor', '--json'], {});
    const { findings } = documentOf<{ findings: { name: string; status: string }[] }>(run);
    assert.ok(findings.some(({ name, status }) => name === 'Node' && status === 'ok'));
    assert.equal(run.code, findings.some(({ status }) => status === 'missing') ? 1 : 0);
  });
});
