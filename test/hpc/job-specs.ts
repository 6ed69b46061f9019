import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobRef, JobRunner, JobSpec, JobStatus } from '../../src/contracts/job.ts';
import { eventually } from '../jobs/eventually.ts';
import { argvOf, type ProgramName } from '../jobs/programs.ts';
import type { SlurmFixture } from './slurm-fixture.ts';

/** Jobs of the fault tests, and what became of them. */
export function jobsOf(fixture: SlurmFixture) {
  const { runner } = fixture;
  const specOf = (program: ProgramName, more: Partial<JobSpec> = {}): JobSpec => ({
    name: `faults/${randomUUID()}/1`,
    program: argvOf(program),
    workingDirectory: fixture.programsFolder,
    environment: {},
    hyperparameters: {},
    channels: {},
    resources: { gpus: 0, cpus: 1, memoryBytes: 2 ** 28, timeLimitMs: 60_000 },
    progressTimeoutMs: 60_000,
    nice: 0,
    ...more,
  });
  return {
    specOf,
    /** Counts its runs, says so, and waits to be let go. */
    waiting: (more: Partial<JobSpec> = {}): JobSpec => ({
      ...specOf('count.sh', more),
      program: [
        'sh',
        '-c',
        'echo run >> "$SM_CHECKPOINT_DIR/runs"; echo "{\\"progress\\": 0.5, \\"run\\": $(wc -l < "$SM_CHECKPOINT_DIR/runs")}"; while [ ! -e "$SM_CHECKPOINT_DIR/go" ]; do sleep 0.02; done',
      ],
    }),
    letGo: async (ref: JobRef): Promise<void> =>
      writeFile(join((await runner.outputs(ref)).checkpointDirectory, 'go'), ''),
    run: (ref: JobRef, number: number): Promise<JobStatus> =>
      eventually(
        `run ${number} of ${ref.name}`,
        async () => {
          const status = await runner.describe(ref);
          return status.progress?.metrics.run === number && status;
        },
        40_000,
      ),
    end: (ref: JobRef, withinMs = 40_000, by: JobRunner = runner): Promise<JobStatus> =>
      eventually(
        `the end of ${ref.name}`,
        async () => {
          const status = await by.describe(ref);
          return ['succeeded', 'failed', 'cancelled'].includes(status.state) && status;
        },
        withinMs,
      ),
    runs: async (ref: Pick<JobRef, 'name'>): Promise<number> => {
      const { checkpoints } = fixture.folderOf(ref).container;
      const text = await readFile(join(checkpoints, 'runs'), 'utf8').catch(() => '');
      return text.split('\n').length - 1;
    },
  };
}
