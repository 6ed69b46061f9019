import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { ProgramTools } from '../program.ts';
import { findExecutable } from './executables.ts';

/** What this machine offers to start programs with; asked once. */
export async function findTools(
  environment: Record<string, string>,
): Promise<Pick<ProgramTools, 'typeScriptLoader' | 'nice' | 'setpriv'>> {
  const searchPath = environment.PATH ?? '';
  const nice = findExecutable('nice', searchPath);
  const setpriv = findExecutable('setpriv', searchPath);
  return {
    ...(!stripsTypes() && { typeScriptLoader: pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href }),
    ...(nice !== undefined && { nice }),
    ...(setpriv !== undefined && (await knowsParentDeathSignal(setpriv)) && { setpriv }),
  };
}

/** Node ≥ 22.18 runs TypeScript whose types can be erased. */
const stripsTypes = (): boolean => Boolean((process.features as { typescript?: string | false }).typescript);

/** BusyBox has a `setpriv` too, without this option, so the option itself is tried. */
async function knowsParentDeathSignal(setpriv: string): Promise<boolean> {
  try {
    await promisify(execFile)(setpriv, ['--pdeathsig', 'KILL', '--', process.execPath, '--version']);
    return true;
  } catch {
    return false;
  }
}
