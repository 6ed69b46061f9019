import { join } from 'node:path';
import { z } from 'zod';
import { type Digest, Digest as DigestSchema } from '../../contracts/digest.ts';
import { isName, isRefName } from '../../contracts/names.ts';
import { canonicalBytes, digestOf, parseJson } from '../canonical-json.ts';
import { CorruptLog, InvalidInput, RefConflict } from '../errors.ts';
import { inParallel } from '../in-parallel.ts';
import type { Ref, RefStore, Why } from '../types.ts';
import type { LogProblem } from '../upkeep.ts';
import { hasCode, type LogFiles, type LogMedium, type LogStaging, listOrNothing, type Numbered } from './files.ts';

/** One file of a log. The SHA-256 of the file before chains them: a changed or exchanged entry shows. */
const Entry = z.strictObject({
  schema: z.literal('goto3/ref/v1'),
  name: z.string(),
  entry: z.number().int().positive(),
  digest: DigestSchema.transform((d) => d as Digest),
  previous: z.nullable(DigestSchema),
  operation: z.string(),
  by: z.string(),
  reason: z.string(),
  time: z.iso.datetime(),
});
type Entry = z.infer<typeof Entry>;

/** Where an appended operation's entry can be: behind the entry that was the newest when it was first tried. */
const FirstTry = z.strictObject({
  schema: z.literal('goto3/operation/v1'),
  operation: z.string(),
  newest: z.number().int().nonnegative(),
});
type FirstTry = z.infer<typeof FirstTry>;

/** `@` is in no ref name, so a ref's log and refs below the ref live side by side. */
const logFolder = '@log';
const operationsFolder = '@operations';
/** Listed at the same time: a bucket takes its time for each. */
const foldersAtOnce = 8;

/** Refs as folders `refs/<name>/@log/`, one file per entry; entries are never changed and never deleted. */
export class RefLogs implements RefStore {
  readonly #medium: LogMedium;
  readonly #files: LogFiles;
  readonly #staging: LogStaging;
  readonly #root: string;
  readonly #now: () => Date;

  constructor(medium: LogMedium, root: string, now: () => Date) {
    this.#medium = medium;
    this.#files = medium.files;
    this.#staging = medium.staging;
    this.#root = join(root, 'refs');
    this.#now = now;
  }

  async read(name: string, at?: Date): Promise<Ref | undefined> {
    const log = this.#log(name);
    const newest = await log.newest();
    return at ? this.#newestAt(name, newest, at) : this.#entry(name, newest);
  }

  async *history(name: string, from = Number.POSITIVE_INFINITY): AsyncIterable<Ref> {
    const newest = await this.#log(name).newest();
    for (let entry = Math.min(from, newest); entry > 0; entry -= 1) yield await this.#existing(name, entry);
  }

  /**
   * The place of the log at which an operation was first tried is durable before its entry is: whoever comes again looks
   * for the entry from that place on, and nowhere else.
   */
  async append(name: string, next: Digest, why: Why): Promise<Ref> {
    const log = this.#log(name);
    checkArguments(name, undefined, next, why);
    const tried = await this.#firstTry(name, why.operation, await log.newest());
    for (;;) {
      const newest = await log.newest();
      for (let entry = tried + 1; entry <= newest; entry += 1) {
        const found = await this.#existing(name, entry);
        if (found.operation === why.operation) return found;
      }
      try {
        return await this.compareAndSet(name, await this.#entry(name, newest), next, why);
      } catch (error) {
        // Somebody else was faster; the loop ends because the log has grown.
        if (!(error instanceof RefConflict) || (await log.newest()) === newest) throw error;
      }
    }
  }

  async compareAndSet(name: string, expected: Ref | undefined, next: Digest, why: Why): Promise<Ref> {
    const log = this.#log(name);
    checkArguments(name, expected, next, why);
    const previous = expected && (await this.#previous(name, expected));
    const entry: Entry = {
      schema: 'goto3/ref/v1',
      name,
      entry: (expected?.entry ?? 0) + 1,
      digest: next,
      previous: previous ? previous.hash : null,
      ...{ operation: why.operation, by: why.by, reason: why.reason },
      time: this.#timeAfter(previous?.ref.time),
    };
    const staged = await this.#staging.stage(canonicalBytes(entry));
    try {
      if ((await this.#staging.publish(staged, log.path(entry.entry))) === 'created') return refOf(entry);
    } finally {
      await this.#staging.discard(staged.path);
    }
    const winner = await this.#existing(name, entry.entry);
    if (winner.operation === why.operation && winner.digest === next) return winner;
    throw new RefConflict(name, `expected ${describe(expected)} to be the newest`, winner);
  }

  async *list(prefix: string): AsyncIterable<string> {
    if (prefix !== '' && !(prefix.endsWith('/') && isRefName(prefix.slice(0, -1))))
      throw new InvalidInput(`ref prefix: expected "" or names that each end with "/", got ${JSON.stringify(prefix)}`);
    yield* (await this.#below(prefix)).sort();
  }

  async *checkLog(name: string): AsyncIterable<LogProblem> {
    const newest = await this.#log(name).newest();
    let before: { hash: Digest; time: string } | undefined;
    for (let entry = 1; entry <= newest; entry += 1) {
      try {
        const { hash, previous, ref } = await this.#decoded(name, entry);
        if (entry === 1 && previous !== null) yield { entry, detail: 'the first entry names one before it' };
        if (before && previous !== before.hash) yield { entry, detail: `entry ${entry - 1} is not the one it follows` };
        if (before && ref.time < before.time) yield { entry, detail: `its time is before that of entry ${entry - 1}` };
        before = { hash, time: ref.time };
      } catch (error) {
        if (!(error instanceof CorruptLog)) throw error;
        yield { entry, detail: error.message };
        before = undefined;
      }
    }
  }

  async #below(prefix: string): Promise<string[]> {
    const entries = await listOrNothing(this.#files, join(this.#root, prefix));
    const folders = entries.filter(({ name, isFolder }) => isFolder && isName(name));
    const names = await inParallel(folders, foldersAtOnce, async ({ name }) => {
      // A log may be empty: its maker died before the first entry.
      const own = (await this.#log(prefix + name).newest()) > 0 ? [prefix + name] : [];
      return [...own, ...(await this.#below(`${prefix}${name}/`))];
    });
    return names.flat();
  }

  /** What the writer believes to be the newest entry; it must be an entry of this log, or the log would get a hole. */
  async #previous(name: string, expected: Ref): Promise<{ ref: Ref; hash: Digest }> {
    const newest = await this.#log(name).newest();
    if (expected.entry > newest) {
      const detail = `expected ${describe(expected)}, but the log ends before it`;
      throw new RefConflict(name, detail, await this.#entry(name, newest));
    }
    const previous = await this.#decoded(name, expected.entry);
    if (previous.ref.digest !== expected.digest || previous.ref.operation !== expected.operation)
      throw new RefConflict(name, `expected ${describe(expected)}`, previous.ref);
    return previous;
  }

  /** The newest entry when this operation was first tried: now, or what an earlier try has noted. */
  async #firstTry(name: string, operation: string, newest: number): Promise<number> {
    const key = digestOf(operation).slice('sha256:'.length);
    const path = join(this.#root, name, operationsFolder, key.slice(0, 2), key);
    const note: FirstTry = { schema: 'goto3/operation/v1', operation, newest };
    const known = await this.#noted(path, operation);
    if (known) return known.newest;
    const staged = await this.#staging.stage(canonicalBytes(note));
    try {
      if ((await this.#staging.publish(staged, path)) === 'created') return newest;
    } finally {
      await this.#staging.discard(staged.path);
    }
    return (await this.#noted(path, operation))!.newest;
  }

  async #noted(path: string, operation: string): Promise<FirstTry | undefined> {
    const where = `operation ${operation}`;
    try {
      return FirstTry.parse(parseJson(await this.#files.readWhole(path), where));
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      if (error instanceof z.ZodError) throw new CorruptLog(where, z.prettifyError(error));
      throw error;
    }
  }

  /** Times never go back within a log, whatever the clocks of its writers do: "at time T" has one answer. */
  #timeAfter(previous: string | undefined): string {
    const now = this.#now().toISOString();
    return previous !== undefined && previous > now ? previous : now;
  }

  async #newestAt(name: string, newest: number, at: Date): Promise<Ref | undefined> {
    // Numbers, not texts: ISO texts of the years before 0 and after 9999 do not sort.
    const timeMs = at.getTime();
    if (Number.isNaN(timeMs)) throw new InvalidInput(`ref ${name}: expected a time to read it at, got an invalid date`);
    let [low, high] = [0, newest];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (Date.parse((await this.#existing(name, middle)).time) <= timeMs) low = middle;
      else high = middle - 1;
    }
    return this.#entry(name, low);
  }

  async #entry(name: string, entry: number): Promise<Ref | undefined> {
    return entry === 0 ? undefined : this.#existing(name, entry);
  }

  async #existing(name: string, entry: number): Promise<Ref> {
    return (await this.#decoded(name, entry)).ref;
  }

  async #decoded(name: string, entry: number): Promise<{ ref: Ref; hash: Digest; previous: string | null }> {
    const where = `ref ${name} entry ${entry}`;
    try {
      const bytes = await this.#files.readWhole(this.#log(name).path(entry));
      const decoded = Entry.parse(parseJson(bytes, where));
      if (decoded.name !== name || decoded.entry !== entry)
        throw new CorruptLog(where, `the file says ref ${decoded.name} entry ${decoded.entry}`);
      return { ref: refOf(decoded), hash: digestOf(bytes), previous: decoded.previous };
    } catch (error) {
      if (error instanceof InvalidInput) throw new CorruptLog(where, error.message);
      if (error instanceof z.ZodError) throw new CorruptLog(where, z.prettifyError(error));
      if (hasCode(error, 'ENOENT')) throw new CorruptLog(where, 'the file is missing');
      throw error;
    }
  }

  #log(name: string): Numbered {
    if (!isRefName(name))
      throw new InvalidInput(`ref name: expected lower-case names joined by "/", got ${JSON.stringify(name)}`);
    return this.#medium.numbered(join(this.#root, name, logFolder), 'grows');
  }
}

function checkArguments(name: string, expected: Ref | undefined, next: Digest, why: Why): void {
  if (!DigestSchema.safeParse(next).success)
    throw new InvalidInput(`ref ${name}: expected a digest "sha256:…", got ${JSON.stringify(next)}`);
  if (expected && expected.name !== name)
    throw new InvalidInput(`ref ${name}: the expected entry is one of ${JSON.stringify(expected.name)}`);
  if (expected && !(Number.isSafeInteger(expected.entry) && expected.entry > 0))
    throw new InvalidInput(`ref ${name}: expected an entry number of 1 or more, got ${expected.entry}`);
  if (!why.operation) throw new InvalidInput(`ref ${name}: the operation key is empty`);
}

const refOf = ({ name, entry, digest, operation, by, reason, time }: Entry): Ref => ({
  ...{ name, entry, digest, operation, by, reason, time },
});

const describe = (ref: Ref | undefined): string =>
  ref ? `entry ${ref.entry} (${ref.digest}, ${ref.operation})` : 'no entry';
