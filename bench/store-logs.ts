import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CaptureRecord } from '../src/contracts/endpoint.ts';
import { openStore } from '../src/store/open.ts';
import type { KeptStore } from '../src/store/upkeep.ts';

/**
 * What a loop that has lived for years asks of its logs, at growing length: live answers of 500 rows by id among the
 * captures of an endpoint, an append to a log that many write, and the champion at a time. "By reading all" is what the
 * same questions cost without packs, indexes and notes; both run on the same store, in turns.
 *
 * Days are short to keep the run short: 100,000 captures a day are written as 100 segments of 1,000.
 */
const repeats = 5;
const days = [1, 4, 16];
const capturesPerDay = 100_000;
const perSegment = 1_000;
const logLengths = [500, 5_000];
const rowsAsked = 500;

interface Spread {
  medianMs: number;
  leastMs: number;
  mostMs: number;
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'goto3-logs-'));
  try {
    const store = await openStore(join(folder, 'store'), { durability: 'fast' });
    const captures = await benchCaptures(store);
    const refs = await benchRefs(store);
    const last = captures.at(-1)!;
    const [short, long] = refs as [(typeof refs)[0], (typeof refs)[0]];
    const goals = {
      'answers of 500 rows are found at least 20 times faster than by reading all, after 16 days':
        last.byReadingAll.medianMs >= 20 * last.byId.medianMs,
      'a repeated append costs at most twice as much on a log of 5,000 entries as on one of 500':
        long.appendAgain.medianMs <= 2 * short.appendAgain.medianMs,
    };
    console.log(
      JSON.stringify({
        bench: 'store-logs',
        ours: { captures, refs },
        peers: { byReadingAll: captures.map(({ byReadingAll }) => byReadingAll) },
        ratios: { byReadingAll: captures.map((c) => c.byReadingAll.medianMs / c.byId.medianMs) },
        goals,
        node: process.version,
      }),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function benchCaptures(store: KeptStore) {
  const results: { days: number; records: number; byId: Spread; byReadingAll: Spread; packMs: number }[] = [];
  let written = 0;
  for (const day of days) {
    while (written < day * capturesPerDay) {
      const records = Array.from({ length: perSegment }, (_, i) => captureOf(written + i));
      await store.captures.append('mail', 'r1', records);
      written += perSegment;
    }
    const packedAt = performance.now();
    await store.upkeep.captures.pack('mail');
    const packMs = performance.now() - packedAt;
    // Labels come late: rows of the day before the last.
    const ids = new Set(Array.from({ length: rowsAsked }, (_, i) => `row-${Math.max(0, written - 150_000) + i}`));
    const [byId, byReadingAll] = await interleaved(
      () => found(store, ids),
      () => readAll(store, ids),
    );
    results.push({ days: day, records: written, byId, byReadingAll, packMs });
    console.log(
      `${day} days, ${written} captures: ${rowsAsked} rows by id ${byId.medianMs.toFixed(1)} ms, by reading all ${byReadingAll.medianMs.toFixed(0)} ms; packing what was new ${packMs.toFixed(0)} ms`,
    );
  }
  return results;
}

async function found(store: KeptStore, ids: ReadonlySet<string>): Promise<number> {
  let count = 0;
  for await (const _ of store.captures.find('mail', ids)) count += 1;
  return count;
}

async function readAll(store: KeptStore, ids: ReadonlySet<string>): Promise<number> {
  let count = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await store.captures.read('mail', cursor, 20_000);
    if (page.records.length === 0) return count;
    for (const { inferenceId } of page.records) if (ids.has(inferenceId)) count += 1;
    cursor = page.cursor;
  }
}

async function benchRefs(store: KeptStore) {
  const digest = await store.blobs.put(Buffer.from('an entry'));
  const results: { entries: number; appendAgain: Spread; historyToTheEnd: Spread; at: Spread }[] = [];
  for (const entries of logLengths) {
    const name = `loops/mail/log-${entries}`;
    for (let i = 0; i < entries; i += 1)
      await store.refs.append(name, digest, { operation: `cycle ${i}`, by: 'bench', reason: 'bench' });
    const again = { operation: `cycle ${entries - 3}`, by: 'bench', reason: 'bench' };
    const middle = new Date((Date.parse((await store.refs.read(name))!.time) + Date.now()) / 2);
    const [appendAgain, historyToTheEnd] = await interleaved(
      async () => (await store.refs.append(name, digest, again)).entry,
      async () => {
        for await (const { operation, entry } of store.refs.history(name)) if (operation === 'never') return entry;
        return entries - 2;
      },
    );
    const [at] = await interleaved(async () => (await store.refs.read(name, middle))!.entry);
    results.push({ entries, appendAgain: appendAgain!, historyToTheEnd: historyToTheEnd!, at: at! });
    console.log(
      `${entries} entries: an append that comes again ${appendAgain!.medianMs.toFixed(2)} ms, by reading back all ${historyToTheEnd!.medianMs.toFixed(1)} ms; the entry at a time ${at!.medianMs.toFixed(2)} ms`,
    );
  }
  return results;
}

/** Every way in turn, so that the machine's other work falls on all of them; all ways must find the same. */
async function interleaved<T extends (() => Promise<number>)[]>(...ways: T): Promise<{ [K in keyof T]: Spread }> {
  const samples: number[][] = ways.map(() => []);
  const answers = new Set<number>();
  for (let repeat = 0; repeat < repeats; repeat += 1)
    for (const [way, run] of ways.entries()) {
      const startedAt = performance.now();
      answers.add(await run());
      samples[way]!.push(performance.now() - startedAt);
    }
  if (answers.size !== 1) throw new Error(`the ways found different things: ${[...answers].join(', ')}`);
  return samples.map((ms) => {
    const sorted = [...ms].sort((a, b) => a - b);
    return { medianMs: sorted[sorted.length >> 1]!, leastMs: sorted[0]!, mostMs: sorted.at(-1)! };
  }) as { [K in keyof T]: Spread };
}

const captureOf = (i: number): CaptureRecord => ({
  inferenceId: `row-${i}`,
  timeMs: 1_700_000_000_000 + i * 864,
  generation: 1,
  variant: 'stable',
  model: `sha256:${'a'.repeat(64)}`,
  shadow: false,
  background: false,
  answer: { label: i % 3 === 0 ? 'spam' : 'ham', score: (i % 100) / 100 },
  latencyMs: 1.5,
});

await main();
