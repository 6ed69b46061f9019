// Plain JavaScript: scripts/ensure-installed.mjs needs it before node_modules exists. Types: process-identity.d.mts.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Changes with every boot, so that a pid and start time from before a reboot can never match. */
function bootId() {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

/** Fields of /proc/<pid>/stat from the third on; the second, the name, may hold spaces and brackets (proc(5)). */
function statFields(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

export function identify(pid) {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  if (process.platform !== 'linux') return identifyByPs(pid);
  try {
    const fields = statFields(pid);
    // A zombie has ended; in a container whose first process does not reap, it may stay for ever.
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return { pid, startTime: fields[19], bootId: bootId() };
  } catch {
    return undefined;
  }
}

function identifyByPs(pid) {
  try {
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    const [state, ...started] = line.split(/\s+/);
    if (!state || state.startsWith('Z')) return undefined;
    return { pid, startTime: started.join(' '), bootId: '' };
  } catch {
    return undefined;
  }
}

export function isAlive(identity) {
  const now = identify(identity.pid);
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId;
}

export function sessionAndGroup(pid) {
  try {
    const fields = statFields(pid);
    return { group: Number(fields[2]), session: Number(fields[3]) };
  } catch {
    return undefined;
  }
}
