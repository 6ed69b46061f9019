import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from '../src/client/connect.ts';
import { StackUnderFault } from '../test/faults/harness/stack.ts';

/**
 * `npm run bench:init`: seconds from `goto3 init` of the regression template to its first served version, with the stack up,
 * as a person types it. The rows are made up: a straight line and noise, for it is the way that is measured, not the model.
 */
const stack = await StackUnderFault.create(['houses']);
try {
  await stack.start();
  const lines = Array.from({ length: 600 }, (_, n) => {
    const [area, rooms, noise] = [40 + ((n * 37) % 160), 1 + ((n * 7) % 6), ((n * 61) % 100) / 100];
    return `${n},${area},${rooms},${(area * 2.5 + rooms * 12 + noise * 20).toFixed(2)}`;
  });
  const csv = join(stack.home, 'houses.csv');
  await writeFile(csv, ['id,area,rooms,price', ...lines, ''].join('\n'));
  const folder = join(stack.home, 'loops', 'houses');

  const started = performance.now();
  const since = (): number => Math.round(performance.now() - started) / 1_000;
  await stack.type('init', folder, '--csv', csv, '--label', 'price', '--template', 'regression');
  const initialised = since();
  await stack.type('apply', join(folder, 'loop.yaml'));
  const applied = since();
  const goto3 = await connect({ environment: stack.environment });
  const { outcome, detail } = await goto3.cycle('houses/1').result({ timeoutMs: 180_000 });
  const ended = since();
  await goto3.close();
  if (outcome !== 'deployed' && outcome !== 'approved') throw new Error(`the first cycle ended ${outcome}: ${detail}`);
  console.log(`init ${initialised} s, apply ${applied} s, first version ${outcome} ${ended} s`);
  console.log(
    JSON.stringify({
      ...{ bench: 'init', ours: { initialised, applied, ended, outcome }, peers: {}, ratios: {} },
      goals: { 'init to the first version of the regression template in at most 60 s': ended <= 60 },
    }),
  );
} finally {
  await stack.destroy();
}
process.exit();
