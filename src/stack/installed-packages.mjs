// Plain JavaScript: scripts/ensure-installed.mjs needs it before node_modules exists. Types: installed-packages.d.mts.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export function differenceToLockFile(root) {
  const installedFile = join(root, 'node_modules', '.package-lock.json');
  // npm writes this file last: after an install that was killed it is not there.
  if (!existsSync(installedFile)) return 'no npm packages are installed';
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const installed = JSON.parse(readFileSync(installedFile, 'utf8')).packages;
  for (const [path, { version, integrity, optional }] of Object.entries(wanted)) {
    if (path === '') continue;
    const found = installed[path];
    // An optional package may be for another platform.
    if (found === undefined && optional) continue;
    if (found?.version !== version || found?.integrity !== integrity)
      return `${path} is ${found?.version ?? 'missing'}, package-lock.json wants ${version}`;
  }
  return undefined;
}
