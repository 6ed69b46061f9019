// `up` as small as can be: supervises the children described in a file, prints each event as one JSON line.
import { readFileSync } from 'node:fs';
import type { ChildSpec } from '../../../src/stack/child-spec.ts';
import { stateLayout } from '../../../src/stack/layout.ts';
import { stopOnSignals } from '../../../src/stack/signals.ts';
import { lockStack, StackLocked } from '../../../src/stack/stack-lock.ts';
import { Supervisor } from '../../../src/stack/supervisor.ts';

const [home, specsFile] = process.argv.slice(2) as [string, string];
try {
  const specs = JSON.parse(readFileSync(specsFile, 'utf8')) as ChildSpec[];
  const supervisor = new Supervisor(lockStack(stateLayout(home)), specs, {
    onEvent: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
  });
  stopOnSignals(supervisor);
  await supervisor.ready(15_000);
  process.stdout.write('{"kind":"allReady"}\n');
  await supervisor.stopped;
} catch (error) {
  if (!(error instanceof StackLocked)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
