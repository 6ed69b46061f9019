import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findExecutable } from '../../src/jobs/local/executables.ts';

/** What became of each submit, one word a line. */
export type Fate = 'fine' | 'submitted-then-timeout' | 'lost-before' | 'submitted-late';

/**
 * A folder of Slurm's commands whose `sbatch` lies. Which way, the first digit of the job's name says, so a job meets the
 * same fault at each first submit: 0-4 (31 %): submitted, and "Socket timed out" is reported. 5: lost before the controller
 * saw it, same words. 6: the words at once, and the submit happens only after everybody has looked. A retry is honest.
 */
export async function faultySbatch(folder: string, lateSeconds: number): Promise<string> {
  const commands = join(folder, 'commands');
  await mkdir(commands, { recursive: true });
  await mkdir(join(folder, 'seen'));
  const real = (command: string): string => {
    const path = findExecutable(command, process.env.PATH ?? '');
    if (path === undefined) throw new Error(`no ${command} in PATH`);
    return path;
  };
  for (const command of ['squeue', 'sacct', 'scancel']) await symlink(real(command), join(commands, command));
  const script = join(commands, 'sbatch');
  await writeFile(
    script,
    `#!/bin/sh
for argument do case "$argument" in --job-name=goto3-*) name=\${argument#--job-name=goto3-};; esac; done
timed_out() { echo "$1" >> '${folder}/fates'; echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1; }
if ! mkdir "${folder}/seen/$name" 2>/dev/null; then echo fine >> '${folder}/fates'; exec ${real('sbatch')} "$@"; fi
case "$name" in
  [0-4]*) ${real('sbatch')} "$@" > /dev/null; timed_out submitted-then-timeout ;;
  5*) timed_out lost-before ;;
  6*) cat > "${folder}/seen/$name/script"; (sleep ${lateSeconds}; exec ${real('sbatch')} "$@" < "${folder}/seen/$name/script") > /dev/null 2>&1 &
      timed_out submitted-late ;;
esac
echo fine >> '${folder}/fates'
exec ${real('sbatch')} "$@"
`,
  );
  await chmod(script, 0o755);
  return commands;
}

export async function fatesOf(folder: string): Promise<Record<Fate, number>> {
  const words = (await readFile(join(folder, 'fates'), 'utf8')).trim().split('\n') as Fate[];
  const count = (fate: Fate): number => words.filter((word) => word === fate).length;
  return {
    fine: count('fine'),
    'submitted-then-timeout': count('submitted-then-timeout'),
    'lost-before': count('lost-before'),
    'submitted-late': count('submitted-late'),
  };
}
