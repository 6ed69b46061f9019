import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type Clusters, sizeProblems, workloadProblems } from '../contracts/workload-rules.ts';
import { type WorkloadSpec, WorkloadSpecSchema } from '../contracts/workload-spec.ts';
import { withDirectives } from '../jobs/sbatch-script/merge.ts';
import { parseSbatchScript } from '../jobs/sbatch-script/parse.ts';
import type { CompileSource } from '../jobs/workload/compile.ts';
import { InvalidFile } from './errors.ts';
import { problemLines } from './problem-lines.ts';
import { parseYaml, placeFinder } from './yaml.ts';

/** Thousands of jobs are some megabytes; more is a mistake or an attack. */
const largestFileBytes = 4 * 2 ** 20;
const longestLine = 64 * 1024;

export interface WorkloadFileContent extends Omit<CompileSource, 'singleFiles'> {
  /** As parsed, before defaults and units. */
  file: Record<string, unknown>;
  /** Scripts as they are, by job; `spec` has what their directives say. */
  scripts: Record<string, { file: string; interpreter: string[]; bytes: Uint8Array }>;
  /** What directives ask for that has no effect here, with its place. */
  notes: string[];
}

/**
 * Reads and checks a `workload.yaml` with its scripts, or one `#SBATCH` script.
 * @param on where a bare script runs: `local` or `slurm:<target>`
 * @param clusters what is known of the targets, by name
 * @throws InvalidFile that names every field, what was expected, and line and column
 */
export async function readWorkloadFile(
  path: string,
  on = 'local',
  clusters: Clusters = {},
): Promise<WorkloadFileContent> {
  const absolute = resolve(path);
  const bytes = await readBounded(path, absolute);
  if (bytes[0] === 0x23 && bytes[1] === 0x21) return await ofScript(path, absolute, bytes, on, clusters);
  const file = parseYaml(path, bytes);
  return await checkWorkload(path, file, dirname(absolute), { bytes, clusters });
}

/** @param bytes the YAML that `file` was read from, for places. @throws InvalidFile */
async function checkWorkload(
  what: string,
  file: Record<string, unknown>,
  folder: string,
  {
    bytes,
    clusters,
    read = (script) => readBounded(script, join(folder, script)),
  }: { bytes?: Uint8Array; clusters: Clusters; read?: (script: string) => Promise<Uint8Array> },
): Promise<WorkloadFileContent> {
  const parsed = WorkloadSpecSchema.safeParse(file);
  if (!parsed.success)
    throw new InvalidFile(
      what,
      problemLines(parsed.error.issues, { file, bytes, columns: true, schema: WorkloadSpecSchema }),
    );
  const scripts: WorkloadFileContent['scripts'] = {};
  const jobs: WorkloadSpec['jobs'] = {};
  const notes: string[] = [];
  const problems: string[] = [];
  for (const [name, job] of Object.entries(parsed.data.jobs)) {
    jobs[name] = job;
    if (job.script === undefined) continue;
    const text = await read(job.script);
    const result = parseSbatchScript(text);
    if ('problems' in result) {
      for (const { line, column, message } of result.problems)
        problems.push(`${job.script}: ${message} (line ${line}, column ${column})`);
      continue;
    }
    const { interpreter, options } = result.script;
    scripts[name] = { file: basename(job.script), interpreter, bytes: text };
    jobs[name] = withDirectives(job, options);
    for (const note of result.script.notes)
      notes.push(`${job.script}: --${note.option} has no effect: ${note.message} (line ${note.line})`);
  }
  if (problems.length > 0) throw new InvalidFile(what, problems);
  const spec = { ...parsed.data, jobs };
  const wrong = [...workloadProblems(spec, { scriptsRead: true }), ...sizeProblems(spec, clusters)];
  if (wrong.length > 0) {
    const placeOf = bytes === undefined ? () => undefined : placeFinder(bytes);
    const lines = wrong.map(({ path, message }) => {
      const place = placeOf(path);
      return `${path.join('.')}: ${message}${place ? ` (line ${place.line}, column ${place.column})` : ''}`;
    });
    throw new InvalidFile(what, lines);
  }
  return { file, spec, folder, scripts, notes };
}

/** A script alone is a workload of one job, named by `--job-name` or by its file. */
async function ofScript(
  path: string,
  absolute: string,
  bytes: Uint8Array,
  on: string,
  clusters: Clusters,
): Promise<WorkloadFileContent> {
  const result = parseSbatchScript(bytes);
  if ('problems' in result)
    throw new InvalidFile(
      path,
      result.problems.map(({ line, column, message }) => `${message} (line ${line}, column ${column})`),
    );
  const name = (result.script.options.name ?? basename(path).replace(/\.[a-z]+$/i, ''))
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replaceAll(/^[^a-z0-9]+|[^a-z0-9]+$/g, '');
  const file = {
    apiVersion: 'goto3/v1',
    workload: name || 'script',
    runsOn: on,
    jobs: { main: { script: basename(absolute) } },
  };
  return await checkWorkload(path, file, dirname(absolute), { clusters, read: async () => bytes });
}

async function readBounded(shown: string, path: string): Promise<Uint8Array> {
  const facts = await stat(path).catch(() => {
    throw new InvalidFile(shown, ['no such file']);
  });
  if (!facts.isFile()) throw new InvalidFile(shown, ['expected a file']);
  if (facts.size > largestFileBytes)
    throw new InvalidFile(shown, [`expected at most ${largestFileBytes} bytes, has ${facts.size}`]);
  const bytes = await readFile(path);
  refuseLongLines(shown, bytes);
  return bytes;
}

/** A parser's time grows with the line; none of ours is this long. */
function refuseLongLines(shown: string, bytes: Uint8Array): void {
  let [line, start] = [1, 0];
  for (let at = 0; at <= bytes.length; at++)
    if (at === bytes.length || bytes[at] === 0x0a) {
      if (at - start > longestLine)
        throw new InvalidFile(shown, [
          `expected lines of at most ${longestLine} bytes (line ${line}, column ${longestLine + 1})`,
        ]);
      if (bytes.subarray(start, at).includes(0))
        throw new InvalidFile(shown, [
          `expected text without NUL (line ${line}, column ${bytes.subarray(start, at).indexOf(0) + 1})`,
        ]);
      [line, start] = [line + 1, at + 1];
    }
}
