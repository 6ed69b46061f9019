import type { Command } from 'commander';
import type { JobResources } from '../../../contracts/job.ts';
import { parseDuration, parseSize, UnitError } from '../../../contracts/units.ts';
import type { CycleHandle } from '../../cycle.ts';
import { InvalidArgument } from '../../errors.ts';
import { defineRequest, runs, withReason } from '../command.ts';

type Word = { requestId: string; reason: string };

/** What a person can say to a running cycle. */
export function registerCycleWords(cycle: Command): void {
  const say = (
    name: string,
    description: string,
    examples: readonly string[],
    speak: (handle: CycleHandle, word: Word) => Promise<{ reason: string }>,
  ): void => {
    withReason(defineRequest(cycle, `${name} <id>`, description, examples)).action(
      runs<{ reason: string }, [id: string]>(async (session, { reason }, id) => {
        const goto3 = await session.goto3();
        const answer = await speak(goto3.cycle(id), session.word(reason));
        const document = { cycle: id, by: session.by, requestId: session.requestId, ...answer };
        return { document, text: `${id}: ${answer.reason}` };
      }),
    );
  };

  say(
    'approve',
    'let its candidate go to production; the spec says who may',
    ['cycle approve spam-filter/3 --reason "checked 50 false alarms" --by ann'],
    (handle, word) => handle.approve(word),
  );
  say(
    'reject',
    'keep the champion',
    ['cycle reject spam-filter/3 --reason "worse on newsletters" --by ann'],
    (handle, word) => handle.reject(word),
  );
  say(
    'accept-data',
    'train on the data that was held back',
    ['cycle accept-data spam-filter/3 --reason "the campaign is real"'],
    (handle, word) => handle.acceptData(word),
  );

  withReason(
    defineRequest(cycle, 'drop-data <id>', 'train without the data that was held back', [
      'cycle drop-data spam-filter/3 --reason "labels were flipped"',
      'cycle drop-data spam-filter/3 --slice month=2002-09 --reason "only that slice"',
    ]).option('--slice <column=value>', 'only rows of this slice; without it the whole new segment'),
  ).action(
    runs<{ reason: string; slice?: string }, [id: string]>(async (session, { reason, slice }, id) => {
      const goto3 = await session.goto3();
      const word = { ...session.word(reason), ...(slice !== undefined && { slice }) };
      const answer = await goto3.cycle(id).dropData(word);
      return { document: { cycle: id, requestId: session.requestId, ...answer }, text: `${id}: ${answer.reason}` };
    }),
  );

  withReason(
    defineRequest(cycle, 'retry <id>', 'try the failed step again, with other resources if you like', [
      'cycle retry spam-filter/3',
      'cycle retry spam-filter/3 --memory 2GiB --time 20m --reason "it was out of memory"',
    ])
      .option('--memory <size>', 'such as 2GiB')
      .option('--time <duration>', 'such as 20m')
      .option('--gpus <n>', 'number of GPUs')
      .option('--cpus <n>', 'number of CPUs'),
    'retried by hand',
  ).action(
    runs<{ reason: string } & ResourceOptions, [id: string]>(async (session, { reason, ...options }, id) => {
      const resources = resourcesOf(options);
      const goto3 = await session.goto3();
      const word = { ...session.word(reason), ...(Object.keys(resources).length > 0 && { resources }) };
      const answer = await goto3.cycle(id).retry(word);
      return {
        document: { cycle: id, requestId: session.requestId, resources, ...answer },
        text: `${id}: ${answer.reason}`,
      };
    }),
  );

  defineRequest(cycle, 'cancel <id>', 'end it in good order: its job stops, its rollout is withdrawn', [
    'cycle cancel spam-filter/3',
  ]).action(
    runs<object, [id: string]>(async (session, _options, id) => {
      const goto3 = await session.goto3();
      await goto3.cycle(id).cancel();
      return { document: { cycle: id, cancelRequested: true }, text: `${id}: asked to end; goto3 cycle show ${id}` };
    }),
  );
}

interface ResourceOptions {
  memory?: string;
  time?: string;
  gpus?: string;
  cpus?: string;
}

function resourcesOf({ memory, time, gpus, cpus }: ResourceOptions): Partial<JobResources> {
  return {
    ...(memory !== undefined && { memoryBytes: inOption('--memory', memory, parseSize) }),
    ...(time !== undefined && { timeLimitMs: inOption('--time', time, (text) => parseDuration(text)) }),
    ...(gpus !== undefined && { gpus: inOption('--gpus', gpus, (text) => integer(text, 0)) }),
    ...(cpus !== undefined && { cpus: inOption('--cpus', cpus, (text) => integer(text, 1)) }),
  };
}

function inOption<T>(option: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof UnitError) throw new InvalidArgument(`${option}: ${error.message}`);
    throw error;
  }
}

function integer(text: string, least: number): number {
  const n = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (!(n >= least)) throw new UnitError(`expected a whole number from ${least} on, got ${JSON.stringify(text)}`);
  return n;
}
