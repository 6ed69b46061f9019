import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { replayVerdict } from '../../../src/client/replay-verdict.ts';
import type { Digest } from '../../../src/contracts/digest.ts';
import { DesiredState } from '../../../src/contracts/endpoint.ts';
import { Manifest } from '../../../src/contracts/manifests.ts';
import { type Claim, type ExitRecord, type JobRecord, readControlFile } from '../../../src/jobs/local/job-folder.ts';
import { openStore } from '../../../src/store/open.ts';
import type { Ref } from '../../../src/store/types.ts';
import type { KeptStore } from '../../../src/store/upkeep.ts';
import { verifyStore } from '../../../src/store/verify.ts';
import { collect } from '../../store/samples.ts';
import { workflowBundle } from '../../temporal.ts';
import { plantedSecret, type StackUnderFault } from '../harness/stack.ts';
import type { Evidence, HistoryEvidence, JobEvidence } from './evidence.ts';

/** Documents are small; anything larger is rows or weights. */
const longestDocumentBytes = 2 ** 20;

/** An endpoint writes evidence down every 250 ms; callers may go on while we read. */
const unwrittenMs = 2_000;
const answeredBefore = (requests: Evidence['requests'], atMs: number): Evidence['requests'] =>
  Object.fromEntries(
    Object.entries(requests).map(([name, all]) => [name, all.filter((r) => (r.answeredAtMs ?? r.atMs) < atMs)]),
  );

/** What is read of a stack, on one machine (StackUnderFault) or on many (test/scale-out). */
export type StackToJudge = Pick<
  StackUnderFault,
  'home' | 'layout' | 'environment' | 'goto3' | 'log' | 'pastHistories' | 'trainerStarts'
>;

/** Reads everything that a stack has left so far. It may go on meanwhile: what is there is whole at every instant. */
export async function collectEvidence(stack: StackToJudge): Promise<Evidence> {
  // What follows comes before what it follows from: a record before the generation it names, a job before the history
  // that asked for it, a ref before the blob that it points to. Then nothing that happens meanwhile looks like a loss.
  const commands = [...stack.log.commands];
  const requests = answeredBefore(stack.log.requests, Date.now() - unwrittenMs);
  const store = await openStore(stack.environment.storeUrl);
  const records = await captures(store, Object.keys(requests));
  const starts = await stack.trainerStarts();
  const jobs = await readJobs(stack.layout.jobs);
  const histories = await readHistories(stack);
  const refs = await logs(store);
  const { manifests, desired } = await documents(store);
  const { problems } = await verifyStore(store);
  const verdicts = Object.entries(manifests).filter(([, { kind }]) => kind === 'Verdict');
  const replayed = await Promise.all(verdicts.map(([digest]) => replayVerdict(store, digest as Digest)));
  return {
    ...{ commands, requests, captures: records, starts, jobs, refs, manifests, desired },
    endpointKillsMs: stack.log.endpointKillsMs,
    clockSpreadMs: stack.log.clockSpreadMs,
    histories: [...stack.pastHistories, ...histories.map(({ text: _text, ...rest }) => rest)],
    verdictsThatDiffer: replayed.filter(({ equal }) => !equal).map(({ digest }) => digest),
    storeProblems: problems.map(({ what, where, detail }) => `${what} ${where}: ${detail}`),
    secretIn: await placesOf(stack, histories),
    processesLeft: null,
  };
}

async function logs({ refs }: KeptStore): Promise<Record<string, Ref[]>> {
  const all: Record<string, Ref[]> = {};
  for await (const name of refs.list('')) all[name] = (await collect(refs.history(name))).reverse();
  return all;
}

async function documents({ upkeep, blobs }: KeptStore): Promise<Pick<Evidence, 'manifests' | 'desired'>> {
  const found: Pick<Evidence, 'manifests' | 'desired'> = { manifests: {}, desired: {} };
  for await (const { digest, sizeBytes } of upkeep.blobs()) {
    if (sizeBytes > longestDocumentBytes) continue;
    const text = Buffer.from(await blobs.read(digest)).toString('utf8');
    if (!text.startsWith('{') || text.includes('\n')) continue;
    const json: unknown = JSON.parse(text);
    const manifest = Manifest.safeParse(json);
    if (manifest.success) found.manifests[digest] = manifest.data;
    const desired = DesiredState.safeParse(json);
    if (desired.success) found.desired[digest] = desired.data;
  }
  return found;
}

async function captures({ captures: log }: KeptStore, endpoints: string[]): Promise<Evidence['captures']> {
  const all: Evidence['captures'] = {};
  for (const endpoint of endpoints) all[endpoint] = (await log.read(endpoint, undefined, 1_000_000)).records;
  return all;
}

export async function readJobs(folder: string): Promise<JobEvidence[]> {
  const jobs: JobEvidence[] = [];
  for (const name of existsSync(folder) ? await readdir(folder) : []) {
    const path = join(folder, name);
    const record = name.endsWith('.mjs') ? undefined : await readControlFile<JobRecord>(join(path, 'job.json'));
    if (!record) continue;
    const claims = (await readdir(path)).filter((file) => /^claim-\d+\.json$/.test(file)).sort();
    jobs.push({
      name: record.spec.name,
      submittedAt: record.submittedAt,
      claims: await Promise.all(claims.map(async (file) => (await readControlFile<Claim>(join(path, file)))!.by)),
      exit: (await readControlFile<ExitRecord>(join(path, 'exit.json'))) ?? null,
    });
  }
  return jobs;
}

interface Recorded {
  workflowId: string;
  runId: string;
  history: Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;
}

/** By run: how long its history was when it was replayed last, and why that failed. Replaying costs seconds of CPU. */
const replayed = new Map<string, { events: number; failure: string | null }>();

async function replay(all: readonly Recorded[]): Promise<void> {
  const lengthOf = ({ history }: Recorded): number => history.events?.length ?? 0;
  const grown = all.filter((recorded) => replayed.get(recorded.runId)?.events !== lengthOf(recorded));
  if (grown.length === 0) return;
  for (const recorded of grown) replayed.set(recorded.runId, { events: lengthOf(recorded), failure: null });
  const results = Worker.runReplayHistories({ workflowBundle: await workflowBundle() }, grown);
  for await (const { runId, error } of results) if (error) replayed.get(runId)!.failure = error.message;
}

type WithText = HistoryEvidence & { text: string };

async function readHistories({ goto3: { temporal } }: StackToJudge): Promise<WithText[]> {
  const found: WithText[] = [];
  const histories: Recorded[] = [];
  for await (const { workflowId, runId } of temporal.workflow.list()) {
    const history = await temporal.workflow.getHandle(workflowId, runId).fetchHistory();
    histories.push({ workflowId, runId, history });
    const text = JSON.stringify(history.events, (key, value: unknown) =>
      key === 'data' && typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : value,
    );
    const submitted = (history.events ?? []).flatMap((event) => {
      const scheduled = event.activityTaskScheduledEventAttributes;
      if (scheduled?.activityType?.name !== 'placeJob') return [];
      const input = JSON.parse(Buffer.from(scheduled.input?.payloads?.[0]?.data ?? []).toString('utf8'));
      return [(input as { name: string }).name];
    });
    found.push({ workflowId, runId, events: history.events?.length ?? 0, replayFailure: null, submitted, text });
  }
  await replay(histories);
  for (const history of found) history.replayFailure = replayed.get(history.runId)?.failure ?? null;
  return found;
}

async function placesOf({ home, layout }: StackToJudge, histories: readonly WithText[]): Promise<string[]> {
  const places = histories.filter(({ text }) => text.includes(plantedSecret)).map(({ workflowId }) => workflowId);
  for (const folder of [layout.store, layout.jobs, layout.logs, join(home, 'loops')])
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      // What goes away while we look was a temporary file.
      const content = entry.isFile() ? await readFile(path).catch(() => Buffer.alloc(0)) : Buffer.alloc(0);
      if (content.includes(plantedSecret)) places.push(path);
    }
  return places;
}
