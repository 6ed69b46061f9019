// Plain JavaScript: scripts/ensure-installed.mjs needs it before node_modules exists. Types: exclusive-lock.d.mts.
//
// A lock is a row of files `<name>.lock.1`, `.2`, `.3` …; the highest says who holds it, or null after a release. It is
// taken by link()ing the next number into place, which the file system grants to one process only. A lock file that is
// unlinked and made anew cannot do this: between "its holder is dead" and "unlink", somebody else may have taken it.
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { identify, isAlive } from './process-identity.mjs';

function generations(folder, name) {
  const prefix = `${name}.lock.`;
  return readdirSync(folder)
    .filter((file) => file.startsWith(prefix) && /^\d+$/.test(file.slice(prefix.length)))
    .map((file) => Number(file.slice(prefix.length)))
    .sort((a, b) => a - b);
}

function readHolder(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw new Error(`lock file ${file} cannot be read; if no process uses it, remove it`, { cause: error });
  }
}

function remove(file) {
  try {
    unlinkSync(file);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}

/** Makes `<name>.lock.<n>` with its whole content or not at all; false when the number is taken. */
function create(folder, name, n, holder) {
  const temporary = join(folder, `.${name}.lock.${process.pid}`);
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeSync(fd, JSON.stringify(holder));
    // Else a power cut could leave the name with no content behind it.
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  try {
    linkSync(temporary, join(folder, `${name}.lock.${n}`));
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    remove(temporary);
  }
}

export function lockHolder(folder, name) {
  const newest = generations(folder, name).at(-1);
  const holder = newest === undefined ? undefined : readHolder(join(folder, `${name}.lock.${newest}`));
  return holder && isAlive(holder) ? holder : undefined;
}

export function tryLock(folder, name) {
  mkdirSync(folder, { recursive: true });
  const me = { ...identify(process.pid), at: new Date().toISOString() };
  for (;;) {
    const newest = generations(folder, name).at(-1) ?? 0;
    const holder = newest === 0 ? null : readHolder(join(folder, `${name}.lock.${newest}`));
    if (holder === undefined) continue; // Somebody went on to a higher number and removed this one.
    if (holder !== null && isAlive(holder)) return { acquired: false, holder };
    const mine = newest + 1;
    if (!create(folder, name, mine, me)) continue;
    const all = generations(folder, name);
    if (all.at(-1) !== mine) {
      // Others took and outdated this number between our look and our link.
      remove(join(folder, `${name}.lock.${mine}`));
      continue;
    }
    for (const n of all) if (n < mine) remove(join(folder, `${name}.lock.${n}`));
    return {
      acquired: true,
      release: () => {
        if (create(folder, name, mine + 1, null)) remove(join(folder, `${name}.lock.${mine}`));
      },
    };
  }
}
