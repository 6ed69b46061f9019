import type { Command } from 'commander';
import { inheritedEnvironment, readEnvironment } from '../../stack/environment.ts';
import { report } from './errors.ts';
import { Output } from './output.ts';

/** Runs what argv asks for; ends with the exit code that says how it went. */
export async function runProgram(program: Command): Promise<void> {
  // `goto3 cycle list spam | head` closes our stdout early; that is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });

  try {
    await program.parseAsync();
  } catch (error) {
    // Asked of argv itself: an error of usage comes before any option has been understood.
    const json = process.argv.includes('--json');
    const verbose = process.argv.includes('--verbose') || (inheritedEnvironment().DEBUG ?? '') !== '';
    process.exitCode = report(error, new Output({ json, color: readEnvironment().color }), { verbose });
  }
}
