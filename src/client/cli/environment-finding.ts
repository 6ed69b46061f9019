import { existsSync } from 'node:fs';
import type { Finding } from '../../stack/doctor.ts';
import { type Environment, inheritedEnvironment } from '../../stack/environment.ts';
import { readTargets } from '../../stack/targets.ts';
import { chosenVariables, readEnvironmentsFile } from '../environments.ts';
import { findEnvironmentsFile } from '../environments-path.ts';

/**
 * What `doctor` says about goto3.yaml: which environment is in force, and what in each of them points at nothing. A file
 * that cannot be read never gets here: every command refuses it, with the line.
 */
export async function environmentFinding(folder: string, environment: Environment): Promise<Finding> {
  const name = 'goto3.yaml';
  const path = findEnvironmentsFile(folder);
  if (path === undefined)
    return { name, status: 'ok', found: `none in ${folder} or above it: variables and defaults hold` };
  const { default: fallback, environments } = readEnvironmentsFile(path);
  const names = Object.keys(environments);
  const chosen = inheritedEnvironment().GOTO3_ENV || fallback;
  const problems: string[] = [];
  for (const other of names) {
    const {
      GOTO3_SECRETS: secrets,
      GOTO3_TARGETS: targets,
      TEMPORAL_CONFIG_FILE: profiles,
    } = chosenVariables(other, folder, {});
    if (secrets && !existsSync(secrets)) problems.push(`${other}: no folder of secrets at ${secrets}`);
    if (profiles && !existsSync(profiles)) problems.push(`${other}: no profiles at ${profiles}`);
    if (!targets) continue;
    if (!existsSync(targets.split('#')[0]!)) problems.push(`${other}: no targets at ${targets}`);
    else
      await readTargets(targets).catch((error: Error) => {
        problems.push(`${other}: ${error.message.replaceAll(/\s*\n\s*/g, ' ')}`);
      });
  }
  const found = `${path}: ${chosen} of ${names.join(', ')}; state in ${environment.home}`;
  return problems.length === 0
    ? { name, status: 'ok', found }
    : {
        name,
        status: 'warn',
        found: `${found}; ${problems.join('; ')}`,
        fix: `correct ${path}, or make what it names`,
      };
}
