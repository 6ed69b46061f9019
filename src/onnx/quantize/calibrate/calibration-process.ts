import { rmSync } from 'node:fs';
import { basename } from 'node:path';
import { calibrationFolderPrefix } from './calibration-files.ts';
import { ForwardPasses } from './forward-passes.ts';
import type { FromCalibration, ToCalibration } from './messages.ts';

/** Forward passes in a process of their own; its working folder is the calibration's. See `IsolatedPasses`. */
const passes = new ForwardPasses('.');

async function answer(message: ToCalibration): Promise<FromCalibration> {
  switch (message.op) {
    case 'open':
      await passes.open(message);
      return { op: 'done' };
    case 'observe':
      await passes.observe(message.batch);
      return { op: 'done' };
    case 'finish':
      return { op: 'finished', ranges: await passes.finish((batches) => say({ op: 'counted', batches })) };
  }
}

const say = (message: FromCalibration): void => void process.send!(message);

process.on('message', (message: ToCalibration) => {
  answer(message)
    .catch(
      (error: Error & { type?: string }): FromCalibration => ({
        op: 'failed',
        message: error.message,
        type: error.type,
      }),
    )
    .then(say, () => process.exit(1));
});
// Whoever started this process was killed, and cannot remove its folder any more.
process.on('disconnect', () => {
  const folder = process.cwd();
  if (basename(folder).startsWith(calibrationFolderPrefix)) rmSync(folder, { recursive: true, force: true });
  process.exit(0);
});
