import { parseArgs } from 'node:util';
import { readClock } from './clock.ts';
import { readMails } from './corpus.ts';
import { mailEnvironment } from './environment.ts';
import { rowsSince } from './feed-rows.ts';
import { asLabelled, readSwappedLabels } from './poison.ts';

/**
 * The data program of `loop.yaml` (DESIGN §7): `node feed.ts --since <cursor>` prints the labelled mails behind the
 * cursor as JSONL and, as its last line, the next cursor. Without `--since`, or with an empty one, it starts at the
 * oldest mail. Exit code 1, and a sentence on stderr, when the cursor, the clock or the poison cannot be read.
 */
async function main(): Promise<void> {
  const { since } = parseArgs({ options: { since: { type: 'string', default: '' } } }).values;
  const { clockFile, poisonFile, cacheFolder } = mailEnvironment();
  const mails = asLabelled(await readMails(cacheFolder), await readSwappedLabels(poisonFile));
  const { rows, cursor } = rowsSince(mails, since, await readClock(clockFile));
  process.stdout.write(`${[...rows, { cursor }].map((line) => JSON.stringify(line)).join('\n')}\n`);
}

main().catch((error: unknown) => {
  console.error(`feed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
