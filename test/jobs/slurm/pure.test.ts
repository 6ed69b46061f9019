import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import type { JobSpec } from '../../../src/contracts/job.ts';
import { SlurmTarget } from '../../../src/contracts/slurm-target.ts';
import { jobFolderOf } from '../../../src/jobs/local/job-folder.ts';
import { batchScript } from '../../../src/jobs/slurm/batch-script.ts';
import { parseAccountLines, parseQueueLines, sbatchArguments } from '../../../src/jobs/slurm/cli/arguments.ts';
import { directivesOf, slurmJobName } from '../../../src/jobs/slurm/directives.ts';
import { ClusterUnavailable, SubmitRejected, SubmitUnclear } from '../../../src/jobs/slurm/errors.ts';
import { hostsOf } from '../../../src/jobs/slurm/host-list.ts';
import { chooseVersion, decodeJobs, errorsOf, submitBody, submittedId } from '../../../src/jobs/slurm/rest/messages.ts';
import { slurmToken } from '../../../src/jobs/slurm/rest/token.ts';
import { phaseOf, verdictOf } from '../../../src/jobs/slurm/states.ts';
import { parsableId, submitFailure } from '../../../src/jobs/slurm/submit-answer.ts';

const plain = { folder: '/shared/jobs', transport: { kind: 'cli' } };
const target = SlurmTarget.parse(plain);
const spec: JobSpec = {
  name: 'spam/3/train/1',
  program: ['sh', '-c', 'echo "$(id)"\n#SBATCH --wrap=id'],
  workingDirectory: '/work',
  environment: {},
  hyperparameters: {},
  channels: {},
  resources: { gpus: 2, cpus: 4, memoryBytes: 2 ** 30 + 1, timeLimitMs: 61_000 },
  progressTimeoutMs: 1_000,
  nice: 0,
};
const folder = jobFolderOf(target.folder, spec.name);

describe('slurm target: what a file may say', () => {
  const hostile = [
    "a';id;'",
    'x\n#SBATCH --wrap=id',
    'a b',
    '$(id)',
    '`id`',
    'a%j',
    'a\0b',
    '--wrap=id',
    '',
    '../x',
    'a\r',
    'é',
    'x'.repeat(65),
  ];
  for (const field of ['partition', 'account', 'qos', 'reservation', 'constraint', 'node', 'folder', 'path'])
    it(`${field}: nothing that is more than a name`, () => {
      for (const value of hostile) {
        if (field === 'constraint' && value === 'x'.repeat(65)) continue;
        const parsed = SlurmTarget.safeParse({ ...plain, [field]: value });
        assert.equal(parsed.success, false, `${field}: ${JSON.stringify(value)}`);
        assert.deepEqual(parsed.error?.issues[0]?.path, [field]);
      }
    });

  it('takes what sites really use', () => {
    const parsed = SlurmTarget.parse({
      folder: '/fsx/goto3/jobs',
      transport: { kind: 'rest', url: 'http://10.0.0.7:6820', user: 'ml-team', key: { secret: 'slurm-key' } },
      partition: 'gpu.spot-1',
      constraint: 'efa&p5|p4d',
      node: '/opt/node/bin/node',
      path: '/opt/slurm/bin:/usr/bin',
    });
    assert.deepEqual(parsed.poll, { fromMs: 2_000, toMs: 60_000 });
    assert.equal(parsed.requeue, true);
  });
});

describe('slurm directives', () => {
  it('are in Slurm’s units, rounded up, with room for the wrapper and its grace', () => {
    const directives = directivesOf(spec, target, folder, { graceMs: 120_000 });
    assert.equal(directives.memoryPerNodeMiB, 1_025 + 128);
    assert.equal(directives.timeMinutes, 5);
    assert.equal(directives.cpusPerTask, 4);
    assert.equal(directives.gpusPerNode, 2);
  });

  it('hold nothing of the program, and no value that is more than letters, digits and a few signs', () => {
    const argv = sbatchArguments(directivesOf(spec, target, folder, { graceMs: 1 }));
    for (const argument of argv) assert.match(argument, /^--[a-z-]+(=[A-Za-z0-9._/@+=&|-]+)?$/);
    assert.ok(!argv.join().includes('SBATCH'));
    assert.ok(!argv.some((argument) => argument.startsWith('--wrap')));
  });

  it('refuse whatever slips through the schema', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const partition = `p${text}`;
        const build = () => directivesOf(spec, { ...target, partition }, folder, { graceMs: 1 });
        if (/^[A-Za-z0-9._/@+=&|-]{1,1024}$/.test(partition)) build();
        else assert.throws(build, { type: 'InvalidInput' });
      }),
    );
    for (const cpus of [Number.NaN, -1, 0.5, 1e12])
      assert.throws(() =>
        directivesOf({ ...spec, resources: { ...spec.resources, cpus } }, target, folder, { graceMs: 1 }),
      );
  });

  it('refuse an array that is larger than what the target says of the cluster', () => {
    const array = { ...spec, array: { tasks: '0-9,64', atOnce: 2 } };
    const build = (maxArraySize: number) => directivesOf(array, { ...target, maxArraySize }, folder, { graceMs: 1 });
    assert.equal(build(65).array, '0-9,64%2');
    assert.throws(() => build(64), { type: 'InvalidInput', message: /array: task 64 is not below .* which is 64/ });
  });

  it('name a job by its folder and name alone', () => {
    assert.equal(slurmJobName('/a', 'x/1/train/1'), slurmJobName('/a', 'x/1/train/1'));
    assert.notEqual(slurmJobName('/a', 'x/1/train/1'), slurmJobName('/b', 'x/1/train/1'));
    assert.notEqual(slurmJobName('/a', 'x/1/train/1'), slurmJobName('/a', 'x/1/train/2'));
    assert.match(slurmJobName('/a', 'x'), /^goto3-[0-9a-f]{40}$/);
  });

  it('the script is constant but for Node’s path', () => {
    assert.equal(batchScript('/usr/bin/node').split('\n')[0], '#!/usr/bin/node');
    assert.equal(batchScript('/usr/bin/node').split('\n').length, 3);
  });
});

describe('slurm: the answer to a submit', () => {
  it('has its id also when sbatch complains', () => {
    assert.equal(parsableId('123\n'), '123');
    assert.equal(parsableId('123;lab\n'), '123');
    assert.equal(parsableId('sbatch: warning: something\n77;lab\n'), '77');
    for (const text of ['', 'Submitted batch job 12', '12 13', 'x12']) assert.equal(parsableId(text), undefined, text);
  });

  const cases: [string, new (message: string) => Error][] = [
    ['sbatch: error: Batch job submission failed: Socket timed out on send/recv operation', SubmitUnclear],
    ['Zero Bytes were transmitted or received', SubmitUnclear],
    ['slurmrestd: something nobody has seen before', SubmitUnclear],
    ['', SubmitUnclear],
    [
      'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)',
      ClusterUnavailable,
    ],
    ['sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying', ClusterUnavailable],
    [
      'error: QOSMaxSubmitJobPerUserLimit error: Job violates accounting/QOS policy (job submit limit, user’s size and/or time limits)',
      ClusterUnavailable,
    ],
    ['sbatch: error: invalid partition specified: nope', SubmitRejected],
    ['Requested node configuration is not available', SubmitRejected],
    ['Invalid generic resource (gres) specification', SubmitRejected],
    ['Invalid feature specification', SubmitRejected],
    ['Requested reservation is invalid', SubmitRejected],
    ['Memory required by task is not available', SubmitRejected],
    ['User’s group not permitted to use this partition', SubmitRejected],
  ];
  for (const [text, kind] of cases)
    it(`${kind.name}: ${text || '(nothing)'}`, () => {
      assert.ok(submitFailure(text) instanceof kind);
    });
});

describe('slurm: states', () => {
  it('a flag beside a base state is looked at first', () => {
    assert.equal(phaseOf(['PENDING', 'REQUEUED']), 'waiting');
    assert.equal(phaseOf(['COMPLETED', 'COMPLETING']), 'running');
    assert.equal(phaseOf(['FAILED', 'REQUEUE_HOLD']), 'waiting');
    assert.equal(phaseOf(['NODE_FAIL']), 'mayReturn');
    assert.equal(phaseOf(['PREEMPTED']), 'mayReturn');
    assert.equal(phaseOf(['EXPEDITING']), 'unclear');
    assert.equal(phaseOf([]), 'unclear');
  });

  it('the last word by class', () => {
    assert.equal(verdictOf(['OUT_OF_MEMORY']), 'outOfMemory');
    assert.equal(verdictOf(['TIMEOUT']), 'timeLimit');
    assert.equal(verdictOf(['DEADLINE']), 'timeLimit');
    assert.equal(verdictOf(['PREEMPTED']), 'preempted');
    assert.equal(verdictOf(['CANCELLED']), 'cancelled');
    for (const word of ['FAILED', 'NODE_FAIL', 'BOOT_FAIL', 'COMPLETED'])
      assert.equal(verdictOf([word]), 'infrastructure');
  });

  it('lines of squeue and sacct; what is no job is skipped', () => {
    const queue =
      '12|12|N/A|goto3-a|RUNNING|n1|None\n20|14|3|b|PENDING||Resources\n\nslurm_load_jobs error\n12.batch|x|y|y|FAILED|n1|\n';
    assert.deepEqual(parseQueueLines(queue), [
      { id: '12', name: 'goto3-a', states: ['RUNNING'], nodes: 'n1', reason: 'None' },
      { id: '14_3', name: 'b', states: ['PENDING'], nodes: '', reason: 'Resources' },
    ]);
    const accounts = '13|x|CANCELLED by 0|n1\n14_3|b|COMPLETED|n1\n14_[4-5%2]|b|PENDING|\n14_3.batch|b|FAILED|n1\n';
    assert.deepEqual(
      parseAccountLines(accounts).map(({ id, states }) => [id, states[0]]),
      [
        ['13', 'CANCELLED'],
        ['14_3', 'COMPLETED'],
        ['14_4', 'PENDING'],
        ['14_5', 'PENDING'],
      ],
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseQueueLines(text);
        parseAccountLines(text);
      }),
    );
  });

  it('records of an array in slurmrestd: one for each task that started, one for all that wait', () => {
    const job = (more: object) => ({ job_id: 9, array_job_id: 7, job_state: 'PENDING', name: 'a', ...more });
    const ids = (more: object) => decodeJobs({ jobs: [job(more)] }).map(({ id }) => id);
    assert.deepEqual(ids({ array_task_id: 4, array_task_string: '' }), ['7_4']);
    assert.deepEqual(ids({ array_task_id: null, array_task_string: '5-6,9%2' }), ['7_5', '7_6', '7_9']);
    assert.deepEqual(ids({ array_task_string: '1,3,5,7,9,11,...' }), ['7_*']);
    assert.deepEqual(ids({ array_job_id: 0, array_task_id: null, array_task_string: '' }), ['9']);
    assert.deepEqual(ids({ array_job_id: { set: true, number: 7 }, array_task_id: { set: true, number: 4 } }), ['7_4']);
  });

  it('lists of hosts', () => {
    assert.deepEqual(hostsOf('n[1-3,07],login'), ['n1', 'n2', 'n3', 'n07', 'login']);
    assert.deepEqual(hostsOf('r[1-2]n[08-10]').length, 6);
    assert.deepEqual(hostsOf(''), []);
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('n', '[', ']', '-', ',', '1', '9') }),
        (text) => void hostsOf(text),
      ),
    );
  });
});

describe('slurmrestd messages', () => {
  const submission = {
    directives: directivesOf(spec, target, folder, { graceMs: 0 }),
    script: '#!/x\n',
    environment: { PATH: '/bin', A: 'b=c' },
  };

  it('0.0.38: environment is a dictionary, numbers are plain', () => {
    const { job } = submitBody('v0.0.38', submission) as { job: Record<string, unknown> };
    assert.deepEqual(job.environment, { PATH: '/bin', A: 'b=c' });
    assert.equal(job.memory_per_node, 1_153);
    assert.deepEqual(job.nodes, [1, 1]);
    assert.equal(job.gres, 'gpu:2');
  });

  it('later ones: a list, and numbers that say that they are set', () => {
    const { job } = submitBody('v0.0.43', submission) as { job: Record<string, unknown> };
    assert.deepEqual(job.environment, ['PATH=/bin', 'A=b=c']);
    assert.deepEqual(job.memory_per_node, { set: true, number: 1_153 });
    assert.deepEqual(job.time_limit, { set: true, number: 3 });
  });

  it('jobs of old and new shape', () => {
    const old = {
      jobs: [{ job_id: 7, name: 'a', job_state: 'RUNNING', state_reason: 'None', nodes: 'n1', user_name: 'u' }],
    };
    const recent = {
      jobs: [
        {
          job_id: { set: true, infinite: false, number: 7 },
          name: 'a',
          job_state: ['RUNNING'],
          state_reason: 'None',
          nodes: 'n1',
          user_name: 'u',
        },
        { job_id: 8 },
        'nonsense',
        null,
      ],
    };
    const expected = [{ id: '7', name: 'a', states: ['RUNNING'], reason: 'None', nodes: 'n1', user: 'u' }];
    assert.deepEqual(decodeJobs(old), expected);
    assert.deepEqual(decodeJobs(recent), expected);
    fc.assert(fc.property(fc.jsonValue(), (value) => void [decodeJobs(value), submittedId(value), errorsOf(value)]));
  });

  it('the id of a submit, which may come with a warning', () => {
    assert.equal(submittedId({ job_id: 5, errors: [{ error: 'not available now' }] }), '5');
    assert.equal(submittedId({ job_id: 0 }), undefined);
    assert.equal(submittedId({ result: { job_id: { set: true, number: 9 } } }), '9');
    assert.equal(submittedId(undefined), undefined);
  });

  it('the newest version that both know', () => {
    const of = (...numbers: number[]) => numbers.map((n) => `/slurm/v0.0.${n}/job/submit`);
    assert.equal(chooseVersion(of(36, 37, 38)), 'v0.0.38');
    assert.equal(chooseVersion(of(42, 43, 44)), 'v0.0.44');
    assert.equal(chooseVersion([...of(44, 99), '/slurm/v0.0.45/jobs/']), 'v0.0.44');
    assert.equal(chooseVersion(of(36, 37)), undefined);
  });

  it('a token is HS256 over header and claims', () => {
    const key = Buffer.alloc(32, 7);
    const [header, claims, signature] = slurmToken(key, 'ml', 1_700_000_000_500, 600).split('.');
    assert.deepEqual(JSON.parse(Buffer.from(header!, 'base64url').toString()), { alg: 'HS256', typ: 'JWT' });
    assert.deepEqual(JSON.parse(Buffer.from(claims!, 'base64url').toString()), {
      iat: 1_700_000_000,
      exp: 1_700_000_600,
      sun: 'ml',
    });
    assert.equal(signature, createHmac('sha256', key).update(`${header}.${claims}`).digest('base64url'));
  });
});
