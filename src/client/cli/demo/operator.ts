import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inheritedEnvironment } from '../../../stack/environment.ts';

const command = fileURLToPath(new URL('../../../../bin/goto3', import.meta.url));
const withinMs = 60_000;

/** A line as an operator types it; a reason is in quotes. */
export const typedLine = (argv: readonly string[]): string =>
  `goto3 ${argv.map((word) => (/^[\w./=-]+$/.test(word) ? word : `"${word}"`)).join(' ')}`;

/**
 * Types a `goto3` command in the demo's own stack, in a process of its own, as a person at a shell would.
 * @returns what it said. @throws Error with its stderr when it is refused
 */
export async function type(home: string, argv: readonly string[]): Promise<string> {
  // The demo's own server and store, whatever the surroundings say.
  const {
    TEMPORAL_ADDRESS: _address,
    TEMPORAL_NAMESPACE: _namespace,
    GOTO3_STORE: _store,
    ...rest
  } = inheritedEnvironment();
  const env = { ...rest, GOTO3_HOME: home };
  const { stdout } = await promisify(execFile)(process.execPath, [command, ...argv], { env, timeout: withinMs }).catch(
    (error: Error & { stderr?: string }) => {
      throw new Error(`${typedLine(argv)}: ${error.stderr?.trim() || error.message}`, { cause: error });
    },
  );
  return stdout.trim();
}
