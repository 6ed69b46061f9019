import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const programs = ['ip', 'unshare', 'setpriv', 'hostname', 'go'];
const debian = '/usr/lib/postgresql';

/** Where the newest PostgreSQL of Debian or Ubuntu keeps its programs; they are not on PATH. */
export function postgresBin(): string | undefined {
  const versions = existsSync(debian) ? readdirSync(debian).filter((name) => /^\d+$/.test(name)) : [];
  const newest = versions.map(Number).sort((a, b) => b - a)[0];
  return newest === undefined ? undefined : join(debian, String(newest), 'bin');
}

/** What this machine lacks for a network of several machines, with the command that helps; undefined: nothing. */
export function whyNoNetwork(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are Linux';
  if (process.getuid?.() !== 0) return 'network namespaces need root: sudo npm run test:scale-out';
  const missing = programs.filter((name) => !isOnPath(name));
  if (postgresBin() === undefined) missing.push('postgresql');
  if (missing.length === 0) return undefined;
  return `${missing.join(', ')} missing: bash scripts/ensure-scale-out.sh (Go: https://go.dev/dl)`;
}

function isOnPath(name: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
