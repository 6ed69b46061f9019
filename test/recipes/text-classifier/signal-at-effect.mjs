// Preloaded into the trainer by tests: sends it a signal at its n-th effect of one kind, so that "killed at this very
// write" is a fact and not a race. Effects are what a death could tear: lines on stdout, opened, written, synced, renamed
// and removed files. A write is torn: half of its bytes are written before the signal.
import { writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const [wanted, nth] = process.env.SIGNAL_AT_EFFECT.split(':');
let met = 0;

function effect(kind, tear = () => {}) {
  if (kind !== wanted || ++met !== Number(nth)) return;
  tear();
  process.kill(process.pid, process.env.SIGNAL);
}

const write = process.stdout.write.bind(process.stdout);
process.stdout.write = (...args) => {
  const done = write(...args);
  effect('line');
  return done;
};
const { open } = promises;
promises.open = async (path, flags, ...rest) => {
  effect('open');
  const file = await open(path, flags, ...rest);
  const { writev, sync } = file;
  file.writev = async (parts) => {
    const all = Buffer.concat(parts);
    effect('write', () => writeFileSync(path, all.subarray(0, all.length / 2)));
    return writev.call(file, parts);
  };
  file.sync = async () => {
    effect('sync');
    return sync.call(file);
  };
  return file;
};
for (const name of ['rename', 'rm']) {
  const original = promises[name];
  promises[name] = async (...args) => {
    effect(name);
    return original(...args);
  };
}
syncBuiltinESMExports();
