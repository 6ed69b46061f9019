import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

export const environmentsFileName = 'goto3.yaml';

/** `goto3.yaml` of a folder or of the nearest one above it. Apart from its reader, which is heavy: every command asks. */
export function findEnvironmentsFile(folder: string): string | undefined {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const file = join(at, environmentsFileName);
    if (existsSync(file)) return file;
    if (at === dirname(at)) return undefined;
  }
}
