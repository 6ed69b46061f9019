import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { applyLoop } from '../../src/client/apply.ts';
import { reportText } from '../../src/client/cli/explain.ts';
import { Output } from '../../src/client/cli/output.ts';
import { connect, type Goto3 } from '../../src/client/connect.ts';
import { readLoopFile } from '../../src/client/loop-file.ts';
import type { CycleReport } from '../../src/contracts/manifests.ts';
import { inheritedEnvironment, readEnvironment } from '../../src/stack/environment.ts';
import { stopOnSignals } from '../../src/stack/signals.ts';
import { bringUp } from '../../src/stack/stack.ts';
import { preparePython } from './prepare.ts';

/**
 * The example from nothing to an approved version: Python environment, stack, loop, one cycle, a person's yes. Run again it
 * goes on: the next cycle is compared with the version before.
 *
 * `node --import tsx examples/diabetes-regression/run.ts [--approve] [--keep] [--home folder]`
 */
const here = fileURLToPath(new URL('.', import.meta.url));
const { values } = parseArgs({
  options: {
    /** Says yes in your name; without it somebody does from another terminal. */
    approve: { type: 'boolean', default: false },
    /** Stays up at the end until Ctrl-C. */
    keep: { type: 'boolean', default: false },
    home: { type: 'string', default: join(here, '.goto3', 'run') },
  },
});
const readyWithinMs = 180_000;
const by = 'example';

const environment = readEnvironment(inheritedEnvironment({ GOTO3_HOME: resolve(values.home) }));
const output = new Output({ json: false, color: environment.color });
const note = (line: string): void => output.note(line);

await preparePython(note);
const stack = await bringUp({ environment, endpoints: [], log: note });
const stopListening = stopOnSignals(stack);
try {
  await stack.ready(readyWithinMs);
  note(`Temporal ${stack.addresses.temporal.address}, Web UI ${stack.addresses.temporal.uiUrl}`);
  const goto3 = await connect({ environment, by });
  try {
    const report = await Promise.race([oneCycle(goto3), stack.stopped.then(() => undefined)]);
    if (report) output.result({ document: report, text: reportText(report, output) });
    process.exitCode = report?.outcome === 'approved' ? 0 : 1;
  } finally {
    await goto3.close();
  }
  if (values.keep) {
    note('Still up, as asked; Ctrl-C stops it');
    await stack.stopped;
  }
} finally {
  await stack.stop();
  stopListening();
}

async function oneCycle(goto3: Goto3): Promise<CycleReport> {
  const applied = await applyLoop(goto3, await readLoopFile(join(here, 'loop.yaml')), { by, reason: 'the example' });
  note(`loop ${applied.loop}: ${applied.outcome}; ${applied.effect}`);
  const asked = await goto3.loop(applied.loop).retrain({ requestId: randomUUID(), reason: 'the example was run' });
  note(`cycle ${asked.cycle}: ${asked.state}`);
  const cycle = goto3.cycle(asked.cycle);
  let stage: string | undefined;
  for (;;) {
    const report = await cycle.report();
    if (report) return report;
    const status = await cycle.status().catch(() => undefined);
    if (status && status.stage !== stage) {
      stage = status.stage;
      note(`${stage}: ${status.waitsFor}${status.command === null ? '' : `\n  ${status.command}`}`);
      if (stage === 'approval' && values.approve)
        await cycle.approve({ requestId: randomUUID(), reason: 'approved by --approve' });
    }
    await new Promise((wake) => setTimeout(wake, 250));
  }
}
