import type { Command } from 'commander';
import { InvalidArgument } from '../errors.ts';
import { define, runs } from './command.ts';

interface Options {
  weeks?: string;
  rate?: string;
  poisonCycle?: string;
  incident?: boolean;
  keep?: boolean;
  home?: string;
}

export function registerDemo(program: Command): void {
  define(
    program,
    'demo',
    'run examples/spam-filter on the mail of 2002, week by week, from an empty stack to the end of the data',
    [
      'demo                              eleven weeks of mail in a few minutes; tables and a chart at the end',
      'demo --weeks 2                    the first two weeks',
      'demo --keep                       stay up at the end: look around in the Web UI, then Ctrl-C',
      'demo --poison-cycle 5             all new labels of cycle 5 are swapped: it parks, and shows what to type',
      'demo --incident                   workers and server killed, labels swapped, a slow candidate: what it costs whom',
      'demo --json > demo.json           the result as one JSON document, progress on stderr',
    ],
  )
    .option('--weeks <n>', 'only the first n weeks of the replay')
    .option(
      '--rate <n>',
      'background requests per second: while a canary runs (300), with --incident all the time (120)',
    )
    .option(
      '--poison-cycle <n>',
      'swap every label that is new in this cycle (2 or later: it takes a champion to notice)',
    )
    .option('--incident', 'three things go wrong in one run; exit 0 only if no request failed and no job ran twice')
    .option('--keep', 'stay up after the end, until Ctrl-C')
    .option('--home <folder>', 'state folder, emptied at the start (default: demo in the state folder)')
    .action(
      runs<Options>(async (session, { weeks, rate, poisonCycle, incident, keep, home }) => {
        const options = {
          ...(rate !== undefined && { rate: wholeNumber('--rate', rate) }),
          ...(weeks !== undefined && { weeks: wholeNumber('--weeks', weeks) }),
          ...(poisonCycle !== undefined && { poisonCycle: wholeNumber('--poison-cycle', poisonCycle, 2) }),
          ...(keep !== undefined && { keep }),
          ...(home !== undefined && { home }),
        };
        if (incident) {
          if (poisonCycle !== undefined || keep) throw new InvalidArgument('--incident poisons by itself and ends');
          const { runIncident } = await import('./demo/incident/run.ts');
          process.exitCode = await runIncident(session, options);
          return undefined;
        }
        const { runDemo } = await import('./demo/run.ts');
        process.exitCode = await runDemo(session, options);
        return undefined;
      }),
    );
}

function wholeNumber(option: string, text: string, least = 1): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || !Number.isSafeInteger(value))
    throw new InvalidArgument(`${option} ${JSON.stringify(text)}: expected a whole number of ${least} or more`);
  return value;
}
