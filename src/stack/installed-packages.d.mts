/**
 * A sentence that says how node_modules in `root` differs from package-lock.json; undefined when all is as it should be.
 * Whoever installed, `npm ci` or `npm install`, does not matter.
 */
export function differenceToLockFile(root: string): string | undefined;
