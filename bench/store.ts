import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensurePythonVenv } from '../scripts/python-venv.ts';
import { versitygwVersion } from '../scripts/versitygw.ts';
import { formatSize, parseSize } from '../src/contracts/units.ts';
import { tsxArgv } from '../src/stack/tsx.ts';
import { awsVariables, Versitygw } from '../test/support/versitygw/server.ts';

/**
 * Files into one S3 server by three programs in turns: `putFolder` of ours, `dvc add` and `dvc push`, `aws s3 cp`; one
 * large file, and many small ones; cold (a prefix of its own each time) and unchanged (the same once more). Each run is a
 * process of its own, so starts count, as they do for people. Peers as their documents say: dvc with `jobs` at its
 * default, aws with `max_concurrent_requests` at its default; analytics off.
 *
 *   npm run bench:store                      1 × 2 GB and 10,000 × 20 KB, 5 repeats
 *   npm run bench:store -- --large 200MB --files 1000 --repeats 3
 */
const root = fileURLToPath(new URL('../', import.meta.url));
const smallFileBytes = 20_000;
const { values } = parseArgs({
  options: {
    large: { type: 'string', default: '2GB' },
    files: { type: 'string', default: '10000' },
    repeats: { type: 'string', default: '5' },
    /** Folder for data, server and repositories; the system's temporary folder. */
    under: { type: 'string', default: tmpdir() },
  },
});
const largeBytes = parseSize(values.large);
const fileCount = Number(values.files);
const repeats = Number(values.repeats);

const venv = (name: string): string =>
  ensurePythonVenv(join(root, '.goto3', `venv-${name}`), join(root, 'bench', 'store-peer', `requirements-${name}.txt`));

interface Sample {
  wallMs: number;
  maxRssBytes: number;
  stdout: string;
}
type Run = (argv: readonly string[], cwd: string) => Promise<Sample>;

/** Runs a program to its end; the peak of its memory is sampled, its children's with it. */
function runner(env: NodeJS.ProcessEnv): Run {
  return async ([file, ...argv], cwd) => {
    const started = performance.now();
    const child = spawn('/usr/bin/env', ['python3', '-c', measured, file!, ...argv], {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const code = await new Promise<number | null>((resolve, reject) =>
      child.once('error', reject).once('close', resolve),
    );
    const wallMs = performance.now() - started;
    if (code !== 0) throw new Error(`${file} ${argv.join(' ')} ended with code ${code}: ${stderr.slice(-2_000)}`);
    return { wallMs, maxRssBytes: Number(stderr.trim().split('\n').at(-1)) * 1_024, stdout };
  };
}

/** wait4 knows the peak of a child's memory; the last line of stderr, in KiB. */
const measured = `
import os, resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
`;

interface Candidate {
  name: string;
  /** Makes ready what is not measured; gives what runs it: once cold, then unchanged. */
  prepare(data: string, round: string): Promise<() => Promise<Sample>>;
}

async function main(): Promise<void> {
  const [awscli, dvc] = [venv('awscli'), venv('dvc')];
  const folder = await mkdtemp(join(values.under, 'goto3-bench-store-'));
  const server = await Versitygw.start(['bench'], folder);
  try {
    const run = runner({
      ...process.env,
      ...awsVariables(server.url),
      AWS_ENDPOINT_URL: server.url,
      AWS_DEFAULT_REGION: 'us-east-1',
      DVC_NO_ANALYTICS: '1',
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    });
    const candidates = [ours(run, server.url), awsOf(run, awscli), dvcOf(run, dvc, folder, server.url)];
    const data = await writeData(folder);
    const results: Record<string, Record<string, Sample[]>> = {};
    for (let repeat = 0; repeat < repeats; repeat += 1)
      for (const [work, path] of Object.entries(data))
        for (const candidate of candidates) {
          const round = `${work}-${candidate.name}-${repeat}`;
          const go = await candidate.prepare(path, round);
          for (const state of ['cold', 'unchanged']) {
            const sample = await go();
            const ofWork = results[`${work} ${state}`] ?? {};
            results[`${work} ${state}`] = ofWork;
            ofWork[candidate.name] = [...(ofWork[candidate.name] ?? []), sample];
            console.error(
              `${round} ${state}: ${(sample.wallMs / 1_000).toFixed(2)} s, ${formatSize(sample.maxRssBytes)}`,
            );
          }
          await rm(join(server.folder, 'bench', round), { recursive: true, force: true });
          await rm(join(folder, round), { recursive: true, force: true });
        }
    const hashMs: number[] = [];
    for (let repeat = 0; repeat < repeats; repeat += 1) {
      const { stdout } = await run(
        tsxArgv(new URL('./store-add.ts', import.meta.url), '--hash', join(data.large, 'file')),
        root,
      );
      hashMs.push((JSON.parse(stdout) as { hashMs: number }).hashMs);
    }
    report(results, median(hashMs), { awscli, dvc });
  } finally {
    await server.stop();
    await rm(folder, { recursive: true });
  }
}

const ours = (run: Run, endpoint: string): Candidate => ({
  name: 'goto3',
  prepare: async (data, round) => () =>
    run(tsxArgv(new URL('./store-add.ts', import.meta.url), `s3://bench/${round}`, data, endpoint), root),
});

const awsOf = (run: Run, bin: string): Candidate => ({
  name: 'aws s3 cp',
  prepare: async (data, round) => () =>
    run([join(bin, 'aws'), 's3', 'cp', '--recursive', '--only-show-errors', data, `s3://bench/${round}`], root),
});

const dvcOf = (run: Run, bin: string, folder: string, endpoint: string): Candidate => ({
  name: 'dvc add + push',
  prepare: async (data, round) => {
    const repository = join(folder, round);
    await mkdir(repository);
    const dvc = (...argv: string[]): Promise<Sample> => run([join(bin, 'dvc'), ...argv], repository);
    await dvc('init', '--no-scm', '--quiet');
    await dvc('remote', 'add', '--default', 'bench', `s3://bench/${round}`);
    await dvc('remote', 'modify', 'bench', 'endpointurl', endpoint);
    // A link to the data, and links in the cache: no copy of the data is measured (dvc docs, "Large dataset optimization").
    await dvc('config', 'cache.type', 'hardlink,symlink');
    await run(['cp', '-al', data, join(repository, 'data')], repository);
    return async () => {
      const add = await dvc('add', '--quiet', 'data');
      const push = await dvc('push', '--quiet');
      return {
        wallMs: add.wallMs + push.wallMs,
        maxRssBytes: Math.max(add.maxRssBytes, push.maxRssBytes),
        stdout: '',
      };
    };
  },
});

async function writeData(folder: string): Promise<{ large: string; small: string }> {
  const [large, small] = [join(folder, 'large'), join(folder, 'small')];
  await mkdir(large);
  await mkdir(small);
  // Random, so that nothing on the way can make it smaller.
  const block = randomBytes(2 ** 20);
  async function* blocks(): AsyncIterable<Buffer> {
    for (let written = 0; written < largeBytes; written += block.length) {
      block.writeUInt32LE(written / block.length);
      yield Buffer.from(block.subarray(0, Math.min(block.length, largeBytes - written)));
    }
  }
  await pipeline(blocks, createWriteStream(join(large, 'file')));
  for (let i = 0; i < fileCount; i += 1)
    await writeFile(join(small, `file-${String(i).padStart(6, '0')}`), randomBytes(smallFileBytes));
  return { large, small };
}

const median = (numbers: readonly number[]): number => {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
};

function report(
  results: Record<string, Record<string, Sample[]>>,
  hashMs: number,
  bins: { awscli: string; dvc: string },
): void {
  const time = (work: string, name: string): number => median(results[work]![name]!.map(({ wallMs }) => wallMs));
  const ratio = (work: string, peer: string): number => time(work, peer) / time(work, 'goto3');
  const works = Object.keys(results);
  const seconds = Object.fromEntries(
    works.map((work) => [
      work,
      Object.fromEntries(
        Object.entries(results[work]!).map(([name, samples]) => {
          const walls = samples.map(({ wallMs }) => wallMs / 1_000);
          return [name, { median: median(walls), least: Math.min(...walls), most: Math.max(...walls) }];
        }),
      ),
    ]),
  );
  const cold = works.filter((work) => work.endsWith('cold'));
  const rss = Math.max(...works.flatMap((work) => results[work]!.goto3!.map(({ maxRssBytes }) => maxRssBytes)));
  const ofRawSha = { cold: hashMs / time('large cold', 'goto3'), unchanged: hashMs / time('large unchanged', 'goto3') };
  const goals = {
    "at least 3 times dvc's throughput, cold": cold.every((work) => ratio(work, 'dvc add + push') >= 3),
    "at least awscli's throughput, cold": cold.every((work) => ratio(work, 'aws s3 cp') >= 1),
    'at least 0.7 of the raw SHA-256 rate for the large file, cold': ofRawSha.cold >= 0.7,
    "unchanged small files in at most a third of dvc's time": ratio('small unchanged', 'dvc add + push') >= 3,
    'at most 200 MB of memory': rss <= 200_000_000,
  };
  console.log(
    JSON.stringify({
      bench: 'store',
      work: { largeBytes, fileCount, smallFileBytes, repeats },
      ours: { seconds, maxRssBytes: rss, ofRawSha, rawShaMs: hashMs },
      peers: { 'aws s3 cp': bins.awscli, 'dvc add + push': bins.dvc, server: `versitygw ${versitygwVersion}` },
      ratios: Object.fromEntries(
        works.map((work) => [work, { dvc: ratio(work, 'dvc add + push'), awscli: ratio(work, 'aws s3 cp') }]),
      ),
      goals,
      samples: results,
      node: process.version,
      cpu: cpus()[0]?.model,
    }),
  );
}

await main();
