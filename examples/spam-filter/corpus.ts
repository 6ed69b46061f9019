import { randomUUID } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { publish, syncFolder } from '../../src/jobs/local/publish.ts';
import { mailEnvironment } from './environment.ts';
import { type MailRow, mailParserVersion, type ParsedMail, parseMail } from './mail.ts';
import { corpusVersion, rawMails } from './raw-mails.ts';

/** What became of the corpus's mails; every raw mail is counted once. */
export interface CorpusSummary {
  corpusVersion: string;
  parserVersion: number;
  mails: number;
  spam: number;
  unreadable: Record<string, number>;
}

/** Where the parsed corpus lies in a cache folder; another corpus or parser has another place. */
export const parsedCorpusFolder = (cacheFolder: string): string =>
  join(cacheFolder, `mails-${corpusVersion()}-parser-${mailParserVersion}`);

/**
 * The path of `mails.jsonl`, one `MailRow` a line, oldest first; `summary.json` lies beside it. Parses the corpus on the
 * first call (about 9 s), afterwards only looks. Processes may race: each writes a folder of its own, one rename wins.
 */
export async function parsedCorpus(cacheFolder: string): Promise<string> {
  const folder = parsedCorpusFolder(cacheFolder);
  const file = join(folder, 'mails.jsonl');
  if (existsSync(file)) return file;
  const { rows, summary } = await parseAll();
  const temporary = `${folder}.${randomUUID()}.tmp`;
  await mkdir(temporary, { recursive: true });
  try {
    await publish(join(temporary, 'mails.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    await publish(join(temporary, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`);
    await rename(temporary, folder);
    await syncFolder(dirname(folder));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    // Somebody else's rename won; theirs holds the same rows.
    if (!existsSync(file)) throw error;
  }
  return file;
}

/** All mails, oldest first; equal times are ordered by id, so the order is the same everywhere. */
export async function readMails(cacheFolder: string): Promise<MailRow[]> {
  const text = await readFile(await parsedCorpus(cacheFolder), 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as MailRow);
}

async function parseAll(): Promise<{ rows: MailRow[]; summary: CorpusSummary }> {
  const rows: MailRow[] = [];
  const unreadable: Record<string, number> = {};
  for (const raw of rawMails()) {
    const parsed: ParsedMail = await parseMail(raw);
    if (parsed.kind === 'mail') rows.push(parsed.row);
    else unreadable[parsed.reason] = (unreadable[parsed.reason] ?? 0) + 1;
  }
  rows.sort((a, b) => compare(a.receivedAt, b.receivedAt) || compare(a.messageId, b.messageId));
  const spam = rows.filter((row) => row.isSpam).length;
  const summary = {
    corpusVersion: corpusVersion(),
    parserVersion: mailParserVersion,
    mails: rows.length,
    spam,
    unreadable,
  };
  return { rows, summary };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** `node --import tsx corpus.ts [cache folder]` prints where the parsed corpus lies. */
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  console.log(await parsedCorpus(process.argv[2] ?? mailEnvironment().cacheFolder));
}
