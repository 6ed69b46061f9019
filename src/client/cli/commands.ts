import type { Command } from 'commander';
import { registerApply } from './commands/apply.ts';
import { registerCodecServer } from './commands/codec-server.ts';
import { registerCycle } from './commands/cycle.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerEndpoint } from './commands/endpoint.ts';
import { registerFile } from './commands/file.ts';
import { registerInit } from './commands/init.ts';
import { registerJob } from './commands/job.ts';
import { registerLoop } from './commands/loop.ts';
import { registerModels } from './commands/models.ts';
import { registerQuantize } from './commands/quantize.ts';
import { registerSchedule } from './commands/schedule.ts';
import { registerStack } from './commands/stack.ts';
import { registerStatus } from './commands/status.ts';
import { registerStore } from './commands/store.ts';
import { registerVerdict } from './commands/verdict.ts';
import { registerWorker } from './commands/worker.ts';
import { registerWorkload } from './commands/workload.ts';
import { registerDemo } from './demo.ts';

/**
 * Every command of `goto3`, in the order of `--help`; a new one is one file and one line here. These modules are
 * loaded at every start, so they import what is heavy inside their actions.
 */
export const commandGroups: readonly ((program: Command) => void)[] = [
  registerStack,
  registerDemo,
  registerDoctor,
  registerStatus,
  registerInit,
  registerFile,
  registerApply,
  registerLoop,
  registerCycle,
  registerVerdict,
  registerEndpoint,
  registerModels,
  registerQuantize,
  registerWorkload,
  registerJob,
  registerStore,
  registerSchedule,
  registerWorker,
  registerCodecServer,
];
