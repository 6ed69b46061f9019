import type { Command } from 'commander';
import { define, runs } from '../command.ts';
import { exitCodes } from '../errors.ts';
import { table } from '../output.ts';

export function registerDoctor(program: Command): void {
  define(program, 'doctor', 'what this machine has and lacks, with the command that helps; changes nothing', [
    'doctor',
    'doctor --json',
  ]).action(
    runs(async ({ environment, output }) => {
      const { examine } = await import('../../../stack/doctor.ts');
      const { environmentFinding } = await import('../environment-finding.ts');
      const findings = [await environmentFinding(process.cwd(), environment), ...(await examine(environment))];
      const { paint } = output;
      const mark = { ok: paint.green('ok'), warn: paint.yellow('warn'), missing: paint.red('missing') };
      const fixes = findings.filter(({ fix, status }) => fix !== undefined && status !== 'ok');
      const text = [
        table(
          ['', 'status', 'found'],
          findings.map(({ name, status, found }) => [name, mark[status], found]),
          output,
        ),
        ...(fixes.length > 0
          ? ['', paint.bold('What helps'), ...fixes.map(({ name, fix }) => `  ${name}: ${fix}`)]
          : []),
      ].join('\n');
      const missing = findings.some(({ status }) => status === 'missing');
      return { document: { findings }, text, exitCode: missing ? exitCodes.failed : exitCodes.ok };
    }),
  );
}
