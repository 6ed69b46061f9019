import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApplicationFailure, WorkflowFailedError } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { Digest } from '../../src/contracts/digest.ts';
import { JobSpec } from '../../src/contracts/job.ts';
import { type TaskQueue, taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { putJson } from '../../src/store/manifests.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/types.ts';
import { job } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { StackProcess } from '../processes.ts';
import { eventually, startTemporal } from '../temporal.ts';

describe('worker processes', function () {
  this.timeout(60_000);
  let temporal: TestWorkflowEnvironment;
  let home: string;
  let store: Store;
  const processes: StackProcess[] = [];
  const workers = {} as Record<TaskQueue, StackProcess>;
  const start = (queue: string): StackProcess => {
    const env = { GOTO3_HOME: home, TEMPORAL_ADDRESS: temporal.address };
    const worker = new StackProcess('main.ts', ['--queue', queue], env);
    processes.push(worker);
    return worker;
  };

  before(async () => {
    temporal = await startTemporal();
    home = await mkdtemp(join(tmpdir(), 'goto3-workers-'));
    store = await openStore(join(home, 'store'));
    await mkdir(join(home, 'programs'));
    for (const queue of Object.keys(taskQueues) as TaskQueue[]) workers[queue] = start(queue);
    for (const worker of Object.values(workers)) await worker.healthy();
  });
  after(async () => {
    for (const worker of processes) await worker.end('SIGKILL');
    await temporal?.teardown();
    await rm(home, { recursive: true, force: true });
  });

  const startJob = async (key: string, specDigest: Digest) =>
    await temporal.client.workflow.start(job, {
      workflowId: workflowIds.job(key),
      taskQueue: taskQueues.control,
      args: [
        {
          ...{ key, specDigest, queue: 'gpu', firstAttempt: 1 },
          resources: { gpus: 0, cpus: 1, memoryBytes: 2 ** 29, timeLimitMs: 60_000 },
          maxResources: { gpus: 0, cpus: 1, memoryBytes: 2 ** 29, timeLimitMs: 60_000 },
        },
      ],
    });
  const specOf = async (script: string): Promise<Digest> => {
    await writeFile(join(home, 'programs', 'program.sh'), script);
    return await putJson(store, JobSpec, {
      name: 'replaced',
      program: ['sh', './program.sh'],
      workingDirectory: join(home, 'programs'),
      environment: {},
      hyperparameters: {},
      channels: {},
      resources: { gpus: 0, cpus: 1, memoryBytes: 2 ** 29, timeLimitMs: 60_000 },
      progressTimeoutMs: 60_000,
      nice: 0,
    });
  };

  it('say that they are healthy, and on which queues', async () => {
    for (const [queue, worker] of Object.entries(workers)) {
      const { ok, workers: states } = await worker.healthy();
      assert.equal(ok, true);
      const queues = Object.keys(states as object);
      assert.ok(queues.includes(queue), `${queue}: ${queues.join(', ')}`);
      assert.equal(
        queues.some((name) => name.startsWith('gpu@')),
        queue === 'gpu',
      );
    }
  });

  it("serve Temporal's metrics and their own, and nothing else", async () => {
    const url = await workers.cpu.healthUrl();
    const metrics = await fetch(`${url}/metrics`).then((response) => response.text());
    assert.match(metrics, /^temporal_worker_task_slots_available\{/m);
    assert.match(metrics, /^process_cpu_seconds_total /m);
    assert.equal((await fetch(`${url}/`)).status, 404);
    assert.equal((await fetch(`${url}/healthz`, { method: 'POST' })).status, 405);
  });

  it('a typed error of a room ends a workflow under its type, without a retry', async () => {
    const handle = await startJob('spam/1/missing', `sha256:${'0'.repeat(64)}`);
    const error = await handle.result().then(
      () => assert.fail('expected a failure'),
      (failure: unknown) => failure,
    );
    assert.ok(error instanceof WorkflowFailedError);
    let cause: unknown = error;
    while (cause instanceof Error && !(cause instanceof ApplicationFailure)) cause = cause.cause;
    assert.ok(cause instanceof ApplicationFailure);
    assert.deepEqual([cause.type, cause.nonRetryable], ['NotFound', true]);
  });

  it('leave in good order and at once while a job runs; the job runs on, and the next worker finds it', async () => {
    const handle = await startJob(
      'spam/1/train',
      await specOf(
        'echo run >> "$SM_CHECKPOINT_DIR/runs"\nwhile [ ! -e "$SM_CHECKPOINT_DIR/go" ]; do sleep 0.05; done\ncp "$SM_CHECKPOINT_DIR/runs" "$SM_MODEL_DIR/runs"\n',
      ),
    );
    const { externalId } = await eventually('the job runs', async () => {
      const status = await handle.query(messages.jobStatusQuery);
      return status.state === 'running' && status.externalId !== null && { externalId: status.externalId };
    });
    const { code, tookMs } = await workers.gpu.end('SIGTERM');
    assert.equal(code, 0);
    assert.ok(tookMs < 6_000, `it took ${tookMs.toFixed(0)} ms, the grace is 8 s`);
    assert.ok(workers.gpu.said('worker stops'));

    await start('gpu').healthy();
    await writeFile(join(externalId, 'ml', 'checkpoints', 'go'), '');
    const result = await handle.result();
    assert.deepEqual([result.state, result.attempts], ['succeeded', 1]);
    assert.ok(result.model);
  });

  it('all leave with exit code 0', async () => {
    const { control, cpu, hpc } = workers;
    for (const { code } of await Promise.all([control, cpu, hpc].map((worker) => worker.end('SIGTERM'))))
      assert.equal(code, 0);
  });

  it('refuse a queue that is none', async () => {
    for (const queue of ['tpu', 'toString']) {
      const worker = start(queue);
      assert.equal(await worker.exit(), 1);
      assert.match(worker.log.join('\n'), /--queue: expected one of control, cpu, gpu, hpc, got/);
    }
  });
});
