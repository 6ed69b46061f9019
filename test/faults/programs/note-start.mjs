// Preloaded into every trainer of the fault tests: says that it started, in a file that no part of goto3 writes. The
// checker counts these lines against what goto3 believes it started.
import { appendFileSync, readdirSync } from 'node:fs';

const { TRAINING_JOB_NAME: job, SM_CHECKPOINT_DIR: checkpoints } = process.env;
if (job)
  appendFileSync(
    'starts.jsonl',
    `${JSON.stringify({ job, pid: process.pid, atMs: Date.now(), checkpoints: readdirSync(checkpoints).length })}\n`,
  );
