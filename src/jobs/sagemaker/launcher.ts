import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { configFiles } from '../container-contract.ts';
import { findExecutable } from '../local/executables.ts';
import { type ExitRecord, type JobFolder, type JobRecord, jobFolderAt, readControlFile } from '../local/job-folder.ts';
import type { Launch } from '../local/launch.ts';
import { runWrappedJob } from '../local/wrapped-job.ts';
import { forwardLog } from './forward-log.ts';
import type { LaunchRecord } from './launch-record.ts';
import { layOut } from './lay-out.ts';
import { checkpointChannel, codeChannel, secretsVariable } from './names.ts';
import { openSecrets, secretsId } from './sealed-secrets.ts';
import { wordLine } from './words.ts';

/**
 * What a SageMaker container runs (its ContainerEntrypoint): places the inputs, runs the program under the same wrapper as
 * a local or a Slurm job, passes its output on, and tells its end in the log and by SageMaker's own means: `failure` file
 * and exit code. It comes with the job, so the image needs Node.js alone.
 */
const launchFolder = dirname(fileURLToPath(import.meta.url));
/** /opt/ml: this file is input/data/<channel>/launcher.mjs. */
const container = resolve(launchFolder, '../../..');
const folder = jobFolderAt(dirname(container));
const codeFolder = join(container, 'code');

async function main(): Promise<ExitRecord> {
  const launch = JSON.parse(readFileSync(join(launchFolder, 'launch.json'), 'utf8')) as LaunchRecord;
  if (existsSync(join(launchFolder, 'cancelled.json')))
    return { state: 'cancelled', reason: 'cancelled before it started', endedAt: new Date().toISOString() };
  const secrets = await takeSecrets();
  const spec = { ...launch.spec, ...(launch.bringsCode && { workingDirectory: codeFolder }) };
  await placeInputs(launch, folder);
  const { current_host: host } = JSON.parse(
    await readFile(join(folder.container.config, 'resourceconfig.json'), 'utf8'),
  ) as { current_host: string };
  // The empty channels too, which SageMaker does not know; ours not.
  const config = configFiles(spec, { currentHost: host, hosts: [host], networkInterface: 'lo' });
  await writeFile(join(folder.container.config, 'inputdataconfig.json'), config['inputdataconfig.json']!);
  const record: JobRecord = { specDigest: launch.specDigest, spec, submittedAt: launch.submittedAt };
  await writeFile(folder.record, JSON.stringify(record));

  let over = false;
  const forwarding = forwardLog(folder, () => over);
  const wrapped: Launch = { folder: folder.path, host, tools: toolsFor(spec), secrets, limits: launch.limits };
  await runWrappedJob(wrapped, () => {});
  over = true;
  await forwarding;
  return (await readControlFile<ExitRecord>(folder.exit))!;
}

/** Opened once and removed: the program finds them in its environment alone. */
async function takeSecrets(): Promise<Record<string, string>> {
  const opener = process.env[secretsVariable];
  if (opener === undefined) return {};
  delete process.env[secretsVariable];
  const secrets = openSecrets(opener, await readFile(join(launchFolder, `secrets-${secretsId(opener)}`)));
  for (const file of readdirSync(launchFolder)) if (file.startsWith('secrets-')) await rm(join(launchFolder, file));
  return secrets;
}

async function placeInputs(
  { spec, files, bringsCode }: LaunchRecord,
  { container: ml, logs }: JobFolder,
): Promise<void> {
  for (const path of [ml.model, ml.outputData, ml.checkpoints, logs]) await mkdir(path, { recursive: true });
  for (const channel of Object.keys(spec.channels)) {
    const path = join(ml.data, channel);
    await layOut(path, files[channel] ?? [], path);
  }
  if (bringsCode) await layOut(join(ml.data, codeChannel), files[codeChannel] ?? [], codeFolder);
  // What this job itself has saved before an interruption is newer than what it began with.
  const fresh = readdirSync(ml.checkpoints).length === 0;
  if (fresh && files[checkpointChannel])
    await layOut(join(ml.data, checkpointChannel), files[checkpointChannel], ml.checkpoints);
}

/** What the image has: `tsx` beside the program where this Node cannot strip types. */
function toolsFor({ program, workingDirectory }: LaunchRecord['spec']): Launch['tools'] {
  const nice = findExecutable('nice', process.env.PATH ?? '');
  return { ...(nice !== undefined && { nice }), ...typeScriptLoader() };

  function typeScriptLoader(): Pick<Launch['tools'], 'typeScriptLoader'> {
    if ((process.features as { typescript?: string | false }).typescript) return {};
    const scripts = program.filter((part) => /\.[cm]?tsx?$/.test(part)).map((part) => resolve(workingDirectory, part));
    for (const beside of [...scripts, join(workingDirectory, 'program')]) {
      try {
        return { typeScriptLoader: pathToFileURL(createRequire(beside).resolve('tsx')).href };
      } catch {
        // Not there; a program in plain JavaScript, or in another language, needs none.
      }
    }
    return {};
  }
}

const exit = await main().catch(
  (error: unknown): ExitRecord => ({
    state: 'failed',
    failureClass: 'infrastructure',
    reason: `the job's launcher failed: ${(error as Error).message}`,
    endedAt: new Date().toISOString(),
  }),
);
const progress = await readControlFile<NonNullable<Parameters<typeof wordLine>[0]['progress']>>(folder.progress);
console.log(wordLine({ kind: 'exit', exit, ...(progress && { progress }) }));
if (exit.state !== 'succeeded') {
  // SageMaker shows it as FailureReason.
  if (!existsSync(folder.container.failureFile)) {
    await mkdir(folder.container.output, { recursive: true });
    await writeFile(folder.container.failureFile, exit.reason ?? exit.state);
  }
  process.exitCode = exit.exitCode || 1;
}
