// biome-ignore-all lint/suspicious/noTemplateCurlyInString: places of a workload are written so
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidFile } from '../../src/client/errors.ts';
import { readWorkloadFile } from '../../src/client/workload-file.ts';
import { planWorkload } from '../../src/client/workload-plan.ts';
import { workloadSvg } from '../../src/client/workload-svg.ts';
import { jobSpecOf } from '../../src/jobs/workload/compile.ts';

const good = `apiVersion: goto3/v1
workload: option-pricing
runsOn: slurm:lab
prices: { spot: { perNodeHour: 2 } }
jobs:
  build: { run: [cc, mc.c], outputs: [mc], partitions: [spot], resources: { time: 1h } }
  simulate:
    run: ["\${build.outputs}/mc", --seed, "\${task}", --table, "\${inputs.table}", "$\${literal}"]
    needs: { build: succeeded }
    array: 0-63%16
    inputs: { table: table.csv }
    partitions: [spot, ondemand]
    resources: { nodes: 2, tasks: 8, cpusPerTask: 2, memoryPerNode: 2GiB, time: 30m, efa: true, constraint: intel }
  check: { run: [./check, "\${simulate.outputs}"], needs: { simulate: each }, array: 0-63, partitions: [spot] }
`;

describe('workload files', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-workload-'));
  });
  after(() => rm(folder, { recursive: true }));

  const read = async (text: string | Uint8Array, name = 'workload.yaml') => {
    await writeFile(join(folder, name), text);
    return await readWorkloadFile(join(folder, name), 'slurm:lab');
  };
  const problems = async (text: string | Uint8Array, name?: string): Promise<readonly string[]> => {
    const error = await read(text, name).then(
      () => undefined,
      (e: unknown) => e,
    );
    assert.ok(error instanceof InvalidFile, String(error));
    return error.problems;
  };

  it('are compiled to what a runner takes', async () => {
    const content = await read(good);
    const spec = jobSpecOf({ ...content, singleFiles: { simulate: { table: 'table.csv' } } }, 'simulate', 'k/1');
    assert.deepEqual(spec.program, [
      '${channel.build}/mc',
      '--seed',
      '${task}',
      '--table',
      '${channel.table}/table.csv',
      '$${literal}',
    ]);
    assert.deepEqual(spec.array, { tasks: '0-63', atOnce: 16 });
    assert.deepEqual(spec.batch, { nodes: 2, tasks: 8, partition: 'spot', constraint: 'efa&intel' });
    assert.deepEqual(spec.resources, { gpus: 0, cpus: 2, memoryBytes: 2 ** 31, timeLimitMs: 1_800_000 });
    const each = jobSpecOf({ ...content, singleFiles: {} }, 'check', 'k/1');
    assert.deepEqual(each.program, ['./check', '${channel.simulate}/${task}']);
  });

  it('are planned: levels, longest chain, hours, cost', async () => {
    const plan = planWorkload(await read(good));
    assert.deepEqual(
      plan.jobs.map(({ job, level, tasks }) => [job, level, tasks]),
      [
        ['build', 0, 1],
        ['simulate', 1, 64],
        ['check', 2, 64],
      ],
    );
    // 1 h, four rounds of 30 min, 10 min.
    assert.equal(plan.longestMs, (60 + 4 * 30 + 10) * 60_000);
    assert.deepEqual(plan.longestChain, ['build', 'simulate', 'check']);
    // 1 + 64 × 0.5 × 2 + 64 / 6 node hours at 2 dollars
    assert.ok(Math.abs(plan.nodeHours - (1 + 64 + 64 / 6)) < 1e-9);
    assert.ok(Math.abs(plan.dollars! - 2 * plan.nodeHours) < 1e-9);
    const svg = workloadSvg(plan);
    assert.equal([...svg.matchAll(/<rect x=/g)].length, 3);
    assert.equal([...svg.matchAll(/marker-end/g)].length, 2);
  });

  it('a script alone is a workload of one job, its text untouched', async () => {
    const text = '#!/bin/bash\n#SBATCH --job-name=Heat_2D -N 2 --ntasks-per-node=4 --mem=1G -t 5\nsrun ./heat\n';
    const { spec, scripts } = await read(text, 'heat.sbatch');
    assert.equal(spec.workload, 'heat_2d');
    assert.deepEqual(spec.jobs.main!.resources, { nodes: 2, tasks: 8, memoryPerNode: 2 ** 30, time: 300_000 });
    assert.equal(Buffer.from(scripts.main!.bytes).toString(), text);
  });

  it('what the file says counts more than what the script says', async () => {
    await writeFile(join(folder, 's.sh'), '#!/bin/sh\n#SBATCH -N 2 -t 5\ntrue\n');
    const { spec } = await read(
      'apiVersion: goto3/v1\nworkload: w\nrunsOn: slurm:lab\njobs: { a: { script: s.sh, resources: { nodes: 3 } } }\n',
    );
    assert.deepEqual(spec.jobs.a!.resources, { nodes: 3, time: 300_000 });
  });

  const changed = (from: string | RegExp, to: string): string => {
    const text = good.replace(from, to);
    assert.notEqual(text, good);
    return text;
  };
  const refused: [name: string, text: () => string | Uint8Array, problem: RegExp][] = [
    [
      'a circle of needs',
      () => changed('outputs: [mc],', 'needs: { check: succeeded },'),
      /jobs\.\w+\.needs\.\w+: a circle of needs: build → check → simulate → build \(line \d+, column \d+\)/,
    ],
    [
      'a need that is not there',
      () => changed('build: succeeded', 'bild: succeeded'),
      /jobs\.simulate\.needs\.bild: there is no job "bild" \(line 9, column 14\)/,
    ],
    [
      'an unresolved place',
      () => changed('${task}', '${seed}'),
      /jobs\.simulate\.run\.2: \$\{seed\}: expected .* \(line 8, column 42\)/,
    ],
    ['a place without an end', () => changed('"${task}"', '"${task"'), /jobs\.simulate\.run\.2: expected "\}" after/],
    [
      'outputs of a job that is not needed',
      () => changed('needs: { build: succeeded }', 'needs: {}'),
      /\$\{build\.outputs\}: add "build" to needs \(line 8, column 11\)/,
    ],
    [
      'nodes 0',
      () => changed('nodes: 2', 'nodes: 0'),
      /jobs\.simulate\.resources\.nodes: expected number to be >=1 \(line 13, column 18\)/,
    ],
    ['nodes -1', () => changed('nodes: 2', 'nodes: -1'), /resources\.nodes: expected number to be >=1 \(line 13/],
    ['nodes 1e9', () => changed('nodes: 2', 'nodes: 1e9'), /resources\.nodes: expected number to be <=10000 \(line 13/],
    [
      'a partition with a shell in it',
      () => changed('[spot, ondemand]', `["a';id;'"]`),
      /partitions\.0: expected letters.* \(line 12, column 18\)/,
    ],
    [
      'time 99-99:99:99',
      () => changed('time: 30m', 'time: 99-99:99:99'),
      /resources\.time: expected a duration .* \(line 13, column \d+\)/,
    ],
    ['memory 10XB', () => changed('2GiB', '10XB'), /resources\.memoryPerNode: expected a size .* \(line 13/],
    [
      'an array beyond all bounds',
      () => changed('0-63%16', '0-999999999%1'),
      /simulate\.array: expected task numbers up to 4000000.* \(line 10, column 5\)/,
    ],
    [
      'an output that leaves the folder',
      () => changed('outputs: [mc]', 'outputs: [../../etc/passwd]'),
      /outputs\.0: expected a path below the output folder.* \(line 6/,
    ],
    [
      'an input that leaves the folder',
      () => changed('table: table.csv', 'table: ../secrets'),
      /inputs\.table: expected a path below .* \(line 11, column 15\)/,
    ],
    [
      '"each" between different arrays',
      () => changed('array: 0-63,', 'array: 0-62,'),
      /needs\.simulate: "each" pairs tasks.* \(line 14/,
    ],
    [
      'a misspelt field',
      () => changed('partitions: [spot, ondemand]', 'partition: [spot]'),
      /simulate\.partition: unknown field; did you mean "partitions"\? \(line 12, column 5\)/,
    ],
    [
      'neither run nor script',
      () => changed('run: [cc, mc.c], ', ''),
      /jobs\.build: expected either "run" or "script" \(line 6, column 3\)/,
    ],
    [
      'srun on one machine',
      () => changed('runsOn: slurm:lab', 'runsOn: local'),
      /resources\.nodes: one machine is one node.* \(line 13/,
    ],
    ['NUL', () => changed('mc.c', 'm\0.c'), /expected text without NUL \(line 6, column 23\)/],
    [
      'a line of a megabyte',
      () => changed('mc.c', 'x'.repeat(2 ** 20)),
      /expected lines of at most 65536 bytes \(line 6, column 65537\)/,
    ],
    ['a file of ten megabytes', () => Buffer.alloc(10 * 2 ** 20, '# \n'), /expected at most 4194304 bytes/],
    [
      'a name that becomes a path',
      () => changed('workload: option-pricing', 'workload: ../x'),
      /workload: expected lower-case letters.* \(line 2, column 1\)/,
    ],
  ];
  for (const [name, text, problem] of refused)
    it(`refuses ${name}`, async () => {
      const found = await problems(text());
      assert.ok(
        found.some((line) => problem.test(line)),
        found.join('\n'),
      );
    });

  it('refuses an array that the cluster has no room for, where its target says so', async () => {
    const file = join(folder, 'workload.yaml');
    await writeFile(file, good);
    assert.ok(await readWorkloadFile(file, 'local', { lab: { maxArraySize: 64 }, other: { maxArraySize: 1 } }));
    await assert.rejects(
      readWorkloadFile(file, 'local', { lab: { maxArraySize: 63 } }),
      /jobs\.simulate\.array: slurm:lab: task 63 is not below the cluster's MaxArraySize, which is 63: split .* \(line 10, column 5\)/,
    );
  });

  it('names the line and column of a problem in a script', async () => {
    await writeFile(join(folder, 'bad.sbatch'), '#!/bin/sh\n#SBATCH --mem=10XB\n');
    const text = 'apiVersion: goto3/v1\nworkload: w\nrunsOn: slurm:lab\njobs: { a: { script: bad.sbatch } }\n';
    assert.match((await problems(text))[0]!, /^bad\.sbatch: --mem: expected a size .* \(line 2, column 9\)$/);
  });
});
