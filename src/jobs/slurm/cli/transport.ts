import { InvalidJob } from '../../errors.ts';
import { findExecutable } from '../../local/executables.ts';
import { ClusterUnavailable, SubmitUnclear } from '../errors.ts';
import { oneLine, parsableId, submitFailure } from '../submit-answer.ts';
import type { SlurmJob, SlurmTransport, Submission } from '../transport.ts';
import { parseAccountLines, parseQueueLines, sacctArguments, sbatchArguments, squeueArguments } from './arguments.ts';
import { type CommandResult, runCommand } from './command.ts';

export interface CommandLineOptions {
  /** Absolute folder of the commands; undefined: found in `environment.PATH`. */
  commands?: string;
  /** SLURM_CONF */
  conf?: string;
  /** What the commands themselves need: PATH, HOME, USER. Nothing of it reaches a job but by name. */
  environment: Readonly<Record<string, string>>;
}

/** Longer than Slurm's own MessageTimeout, so that its word comes first. */
const answerWithinMs = 120_000;
/** Arguments of one scancel or sacct. */
const idsPerCommand = 500;

/** The cluster by its command line: argv arrays, the script on stdin, no shell. */
export function createCommandLineTransport({ commands, conf, environment }: CommandLineOptions): SlurmTransport {
  // By default a long list of tasks ends in "...".
  const own = { ...environment, LC_ALL: 'C', SLURM_BITSTR_LEN: '0', ...(conf !== undefined && { SLURM_CONF: conf }) };
  const run = async (
    command: string,
    argv: readonly string[],
    more: Readonly<Record<string, string>> = own,
    input?: string,
  ): Promise<CommandResult> => {
    const path = findExecutable(command, commands ?? environment.PATH ?? '');
    if (path === undefined)
      throw new InvalidJob(`Slurm's ${command} is not on this machine; install slurm-client or set "commands"`);
    return await runCommand([path, ...argv], more, answerWithinMs, input);
  };
  const ask = async (command: string, argv: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(command, argv);
    if (code !== 0) throw new ClusterUnavailable(`${command}: ${oneLine(stderr) || `exit code ${code}`}`);
    return stdout;
  };

  return {
    async submit({ directives, script, environment: jobs }: Submission): Promise<string> {
      // sbatch reads SBATCH_* variables too; the job's environment has none of them.
      const result = await run(
        'sbatch',
        sbatchArguments(directives),
        { ...jobs, ...(conf !== undefined && { SLURM_CONF: conf }) },
        script,
      );
      const id = parsableId(result.stdout);
      if (id !== undefined) return id;
      if (result.timedOut) throw new SubmitUnclear(`sbatch did not answer within ${answerWithinMs} ms`);
      throw submitFailure(result.stderr);
    },

    async queue(): Promise<SlurmJob[]> {
      return parseQueueLines(await ask('squeue', squeueArguments));
    },

    async accounting(which) {
      const groups =
        'ids' in which
          ? chunks(which.ids, idsPerCommand).map((ids) => [`--jobs=${ids.join(',')}`])
          : [[`--name=${which.name}`, `--starttime=${localTime(which.sinceMs)}`]];
      const found: SlurmJob[] = [];
      for (const filter of groups) {
        const { code, stdout, stderr } = await run('sacct', [...sacctArguments, ...filter]);
        if (/accounting storage is disabled/i.test(stderr)) return undefined;
        if (code !== 0) throw new ClusterUnavailable(`sacct: ${oneLine(stderr)}`);
        found.push(...parseAccountLines(stdout));
      }
      return found;
    },

    async cancel(ids) {
      for (const group of chunks(ids, idsPerCommand)) {
        const { code, stderr } = await run('scancel', [...group]);
        if (code !== 0 && !/invalid job id|already (?:completing|completed)/i.test(stderr))
          throw new ClusterUnavailable(`scancel: ${oneLine(stderr)}`);
      }
    },
  };
}

const chunks = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));

/** `YYYY-MM-DDTHH:MM:SS` in the zone of this machine, as sacct reads it. */
function localTime(ms: number): string {
  const offsetMs = new Date(ms).getTimezoneOffset() * 60_000;
  return new Date(ms - offsetMs).toISOString().slice(0, 19);
}
