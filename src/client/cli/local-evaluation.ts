import { hostname } from 'node:os';
import { join } from 'node:path';
import { jobResourcesOf, type Spec } from '../../activities/spec.ts';
import { FileList } from '../../activities/train.ts';
import { JobSpec } from '../../contracts/job.ts';
import { machineName } from '../../contracts/names.ts';
import { createLocalRunner } from '../../jobs/local/runner.ts';
import { channelsFromBlobs } from '../../jobs/materialise.ts';
import type { RunsProgram } from '../../models/evaluate-here.ts';
import { stateLayout } from '../../stack/layout.ts';
import { localSecrets } from '../../stack/secrets.ts';
import { canonicalJson, digestOf } from '../../store/canonical-json.ts';
import { putFolder } from '../../store/folders.ts';
import { putJson } from '../../store/manifests.ts';
import type { OpenEnvironment } from '../open-environment.ts';

const pollMs = 200;
const shownCharacters = 1_000;

/**
 * The evaluation program of a loop as a job of this machine, under the same contract as in a cycle. Named by promotion,
 * model and rows: asked again, also after a kill, it is the same job.
 */
export function localEvaluation(
  { environment, variables, store }: Pick<OpenEnvironment, 'environment' | 'variables' | 'store'>,
  { spec, folder }: Spec,
  key: string,
): RunsProgram {
  const layout = stateLayout(environment.home);
  const runner = createLocalRunner({
    jobsFolder: layout.jobs,
    host: machineName(hostname()),
    channels: channelsFromBlobs(store.blobs),
    secrets: localSecrets(layout.home, variables),
    gpuLeases: { folder: join(layout.home, 'gpu-leases'), devices: [] },
    hostEnvironment: variables,
  });
  return async ({ files }, rows) => {
    const evaluate = spec.evaluate!;
    const job: Omit<JobSpec, 'name'> = {
      program: evaluate.program,
      workingDirectory: folder,
      environment: evaluate.env,
      hyperparameters: Object.fromEntries(Object.entries(evaluate.hyperparameters).map(([n, v]) => [n, String(v)])),
      channels: {
        model: files,
        holdout: [{ path: 'rows.jsonl', digest: rows, sizeBytes: await store.blobs.sizeBytes(rows) }],
      },
      resources: jobResourcesOf(evaluate).resources,
      progressTimeoutMs: evaluate.progressTimeout,
      nice: 10,
      expects: 'output',
    };
    const identity = digestOf(canonicalJson(job)).slice('sha256:'.length, 'sha256:'.length + 16);
    const named = { ...job, name: `promotion-${key.slice(0, 12)}/1/evaluate-${identity}/1` };
    const ref = await runner.submit(named);
    let status = await runner.describe(ref);
    while (status.state === 'pending' || status.state === 'running' || status.state === 'unknown') {
      await new Promise((resolve) => setTimeout(resolve, pollMs));
      status = await runner.describe(ref);
    }
    let lastLines = '';
    for (let cursor: string | undefined; ; ) {
      const page = await runner.logs(ref, cursor);
      lastLines = `${lastLines}${page.lines.map((line) => `${line}\n`).join('')}`.slice(-shownCharacters);
      if (page.complete || page.cursor === cursor) break;
      cursor = page.cursor;
    }
    if (status.state !== 'succeeded')
      return { problem: `${status.failureClass ?? status.state}: ${status.reason ?? lastLines}` };
    const { dataDirectory } = await runner.outputs(ref);
    const output = await putJson(store, FileList, await putFolder(store, dataDirectory));
    return { job: named.name, jobSpec: await putJson(store, JobSpec, named), output, lastLines };
  };
}
