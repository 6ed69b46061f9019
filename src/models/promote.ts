import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type DataRow, lineOf, readRows } from '../activities/data/rows.ts';
import { NewestRows } from '../activities/evaluate/newest-rows.ts';
import { verdictInput } from '../activities/gate.ts';
import { ask } from '../activities/judging/judge.ts';
import { positionOf } from '../activities/refs.ts';
import { gateOf, readSpec, type Spec } from '../activities/spec.ts';
import { isUnreadable } from '../activities/unreadable.ts';
import type { Digest } from '../contracts/digest.ts';
import type { Evaluation, Model } from '../contracts/manifests.ts';
import { refNames } from '../contracts/names.ts';
import { GateSpec, type Verdict } from '../contracts/verdict.ts';
import { InvalidInput, NotFound } from '../store/errors.ts';
import { getManifest, putJson, putManifest } from '../store/manifests.ts';
import { type SigningRules, verifyStored } from '../store/signing/registry.ts';
import type { Store } from '../store/types.ts';
import { hasSameChampion, settle } from './approve.ts';
import { copyReachable, copySignatures, repairReachable, requireFiles } from './copy.ts';
import { type EvaluationHere, evaluateHere, type RunsProgram } from './evaluate-here.ts';
import { LearntRows, learntOf } from './learnt-rows.ts';
import {
  type Promotion,
  PromotionLog,
  PromotionPlan,
  promotionKey,
  promotionState,
  promotions,
} from './promotion-log.ts';
import { prunedFiles, recordPruning } from './pruned.ts';

export interface PromoteOptions {
  source: Store;
  target: Store;
  model: string;
  /** An approved version of the source. */
  version: number;
  digest: Digest;
  /** Name of the source's environment, for the record. */
  from: string;
  /** The loop of the target that the model belongs to, with its accepted data. */
  loop: { loop: string; specDigest: Digest; dataset: { digest: Digest } };
  /** Who may vouch for models in the target. */
  signing?: SigningRules;
  /** Where the target's loop has an evaluation program. */
  program?: (spec: Spec, key: string) => RunsProgram;
  by: string;
  reason: string;
  signal: AbortSignal;
  onStep?: (what: string) => void;
}

/**
 * Brings an approved version into another environment: copies it with its lineage and signatures, judges it there by that
 * environment's gate on its hold-out against its champion, and ends as an approved version, waiting for a person, or not
 * approved. Every step is written once into the promotion's log: killed anywhere, the same call goes on, and asked again it
 * gives the same answer. Nothing that serves is touched before the verdict.
 * @throws SignatureRefused, NotFound, InvalidInput
 */
export async function promote(options: PromoteOptions): Promise<Promotion> {
  const { source, target, model, digest, loop, from, version, signing, onStep = () => {} } = options;
  const who = { by: options.by, reason: options.reason };
  const manifest = await getManifest(source, digest, 'Model');
  await requireFiles(source, `${model}@${version} in ${from}`, manifest.files);
  // Before a single byte: the target's word on who may vouch holds for what comes from elsewhere too.
  if (signing?.required) await verifyStored(source, digest, manifest, signing.trusted);

  const earlier = await stillOpen(target, model, digest, loop.specDigest);
  const plan = earlier?.plan ?? (await planOf(options));
  const log = new PromotionLog(target, model, promotionKey(plan));
  onStep(`copying ${model}@${version} from ${from}`);
  await copy(options, manifest);
  await log.write('plan', PromotionPlan, plan, who);
  await log.once('copied', digest, who);
  await repairReachable(source, target, digest);

  const verdict = await judge(options, plan, log);
  onStep(`verdict: ${verdict.result}`);
  await settle(target, log, verdict, await readSpec(target, plan.spec));
  return (await promotionState(target, model, log.key))!;
}

/**
 * The same version, approved, or waiting under the same spec and against the same champion: asked again, it is still that
 * one, though data have come since.
 */
async function stillOpen(target: Store, model: string, digest: Digest, spec: Digest): Promise<Promotion | undefined> {
  for (const known of await promotions(target, model)) {
    const { plan, state } = known;
    if (plan.digest !== digest) continue;
    if (state === 'approved') return known;
    if (state === 'waiting' && plan.spec === spec && (await hasSameChampion(target, plan))) return known;
  }
  return undefined;
}

async function planOf({ target, model, digest, from, version, loop }: PromoteOptions): Promise<PromotionPlan> {
  return {
    schema: 'goto3/promotion/v1',
    ...{ model, loop: loop.loop, digest, from, version, spec: loop.specDigest, dataset: loop.dataset.digest },
    champion: positionOf(await target.refs.read(refNames.champion(model))) as PromotionPlan['champion'],
    anchor: positionOf(await target.refs.read(refNames.anchor(model))) as PromotionPlan['anchor'],
  };
}

async function copy({ source, target, model, digest, by, reason }: PromoteOptions, manifest: Model): Promise<void> {
  const { absent } = await copyReachable(source, target, digest);
  await copySignatures(source, target, digest);
  // Files that were pruned there are absent here for the same reason.
  const pruned = await prunedFiles(source, manifest.model);
  const files = absent.filter((file) => pruned.has(file));
  if (files.length > 0) await recordPruning(target, { model, models: [], files }, { by, reason });
}

/** The target's gate on the target's hold-out, each part of it once. */
async function judge(options: PromoteOptions, plan: PromotionPlan, log: PromotionLog): Promise<Verdict> {
  const { target, onStep = () => {}, program, signal } = options;
  const who = { by: options.by, reason: options.reason };
  const known = await log.find('verdict');
  if (known) return (await getManifest(target, known.digest, 'Verdict')).verdict;

  const read = await readSpec(target, plan.spec);
  const gate = gateOf(read.spec);
  const rows = await rowsToJudgeOn(target, plan, read.spec.data.holdout.newest);
  const rowsDigest = await log.once(
    'rows',
    await target.blobs.put(Readable.from(rows.map((r) => Buffer.from(lineOf(r))))),
    who,
  );
  const scratch = await mkdtemp(join(tmpdir(), 'goto3-promote-'));
  try {
    const needsProgram = read.spec.evaluate !== undefined;
    if (needsProgram && !program)
      throw new InvalidInput(`loop ${plan.loop}: it has an evaluation program, and nothing here runs it`);
    const here: EvaluationHere = {
      ...{ store: target, dataset: plan.dataset, rows, rowsDigest, gate, scratch, signal },
      ...(needsProgram && program && { program: program(read, log.key) }),
    };
    const opponents = {
      champion: gate.against.includes('champion') ? plan.champion : null,
      anchor: gate.against.includes('anchor') ? plan.anchor : null,
    };
    const others = [...new Set(Object.values(opponents).flatMap((p) => p?.digest ?? []))];
    const evaluations = new Map<Digest, Digest>();
    for (const digest of new Set([plan.digest, ...others])) {
      const step = `evaluation ${digest}`;
      const before = await log.find(step);
      if (!before)
        onStep(`scoring ${digest === plan.digest ? 'it' : 'what it is held against'} on ${rows.length} rows`);
      const make = async () =>
        await putManifest(target, await scored(here, digest, digest === plan.digest ? others : []));
      evaluations.set(digest, before?.digest ?? (await log.once(step, await make(), who)));
    }
    const of = async (digest: Digest | undefined) =>
      digest === undefined ? null : await getManifest(target, evaluations.get(digest)!, 'Evaluation');
    const verdict = await ask(
      'judge',
      await verdictInput(target, gate, {
        candidate: (await of(plan.digest))!,
        champion: await of(opponents.champion?.digest),
        anchor: await of(opponents.anchor?.digest),
      }),
    );
    const made = await putManifest(target, {
      kind: 'Verdict',
      parents: [...new Set([plan.digest, ...others])],
      createdAt: new Date().toISOString(),
      candidate: plan.digest,
      champion: opponents.champion?.digest ?? null,
      anchor: opponents.anchor?.digest ?? null,
      evaluations: [...evaluations.values()],
      gate: await putJson(target, GateSpec, gate),
      verdict,
    });
    return (await getManifest(target, await log.once('verdict', made, who), 'Verdict')).verdict;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * The newest held-out rows of the target, without those that the version was trained on elsewhere: another environment may
 * hold out others. @throws InvalidInput when that cannot be told
 */
async function rowsToJudgeOn(target: Store, plan: PromotionPlan, most: number): Promise<DataRow[]> {
  const dataset = await getManifest(target, plan.dataset, 'Dataset');
  const newest = new NewestRows(most);
  for (const { holdout } of dataset.segments) for await (const row of readRows(target, holdout)) newest.add(row);
  const rows = newest.inOrder();
  const learnt = await new LearntRows(target, dataset).among(await learntOf(target, plan.digest), rows);
  if (!learnt)
    throw new InvalidInput(
      `${plan.model}@${plan.version} of ${plan.from}: its training data are gone, so nobody can tell which held-out rows it knows`,
    );
  return rows.filter(({ id }) => !learnt.has(id));
}

/** The candidate must be readable; of an opponent that is not, that is what there is to say about it. */
async function scored(here: EvaluationHere, digest: Digest, against: readonly Digest[]): Promise<Evaluation> {
  try {
    return await evaluateHere(here, digest, against);
  } catch (error) {
    if (against.length > 0 || !(isUnreadable(error) || error instanceof NotFound)) throw error;
    return {
      ...{ kind: 'Evaluation', parents: [here.dataset], createdAt: new Date().toISOString(), model: digest },
      ...{ dataset: here.dataset, outcomes: await here.store.blobs.put(Buffer.alloc(0)), rowCount: here.rows.length },
      ...{
        metrics: {},
        slices: {},
        latency: { p50Ms: 0, p95Ms: 0, p99Ms: 0, samples: 0 },
        sizeBytes: 0,
        servable: false,
      },
      problem: `${(error as Error).name}: ${(error as Error).message}`.slice(0, 2_000),
    };
  }
}
