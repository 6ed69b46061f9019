import { createHash } from 'node:crypto';
import { compile } from 'html-to-text';
import PostalMime from 'postal-mime';
import { repairEightBit } from './charset.ts';
import type { RawMail } from './raw-mails.ts';
import { receivedAt } from './received-at.ts';
import { stripBodyMarks, stripSubjectMarks } from './source-marks.ts';

/** Raise it when any row could come out different: caches are keyed by it. */
export const mailParserVersion = 1;

/** A mail as the loop sees it; `loop.yaml` names these columns. */
export interface MailRow {
  /** Digest of the raw bytes: stable, and unique where Message-IDs are not. */
  messageId: string;
  /** ISO, UTC. */
  receivedAt: string;
  isSpam: boolean;
  subject: string;
  body: string;
  hasHtml: boolean;
  /** `2002-08`. */
  month: string;
}

export type ParsedMail =
  | { kind: 'mail'; row: MailRow }
  | { kind: 'unreadable'; source: string; reason: 'undated' | 'malformed'; detail: string };

/** Longer bodies are cut: what decides about a mail is at its start, and one mail must not be a tenth of the data. */
const maxBodyLength = 24_000;
const maxSubjectLength = 1_000;

const htmlToText = compile({
  wordwrap: false,
  limits: { maxDepth: 200 },
  selectors: [
    { selector: 'img', format: 'skip' },
    { selector: 'h1', options: { uppercase: false } },
    { selector: 'h2', options: { uppercase: false } },
    { selector: 'h3', options: { uppercase: false } },
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true } },
  ],
});

/** Decodes MIME, HTML and charsets; never throws, whatever the bytes are: a mail that cannot be read is an outcome. */
export async function parseMail(mail: RawMail): Promise<ParsedMail> {
  try {
    // `From sender date` is the mail store's separator, not a header.
    const email = await PostalMime.parse(repairEightBit(withoutMboxLine(mail.bytes)));
    const received = receivedAt(email.headers);
    if (received === undefined)
      return { kind: 'unreadable', source: mail.source, reason: 'undated', detail: 'no plausible Received or Date' };
    const time = new Date(received).toISOString();
    const text = email.html === undefined ? (email.text ?? '') : htmlToText(email.html);
    return {
      kind: 'mail',
      row: {
        messageId: createHash('sha256').update(mail.bytes).digest('hex').slice(0, 32),
        receivedAt: time,
        isSpam: mail.isSpam,
        subject: tidy(stripSubjectMarks(email.subject ?? '')).slice(0, maxSubjectLength),
        body: tidy(stripBodyMarks(text)).slice(0, maxBodyLength),
        hasHtml: email.html !== undefined,
        month: time.slice(0, 7),
      },
    };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { kind: 'unreadable', source: mail.source, reason: 'malformed', detail };
  }
}

function withoutMboxLine(bytes: Uint8Array): Uint8Array {
  const isMbox = Buffer.from(bytes.subarray(0, 5)).toString('latin1') === 'From ';
  return isMbox ? bytes.subarray(bytes.indexOf(0x0a) + 1) : bytes;
}

/** Control characters and lone surrogates would not survive JSON and a tokenizer the same way everywhere. */
const tidy = (text: string): string =>
  text
    .replace(/\r\n?/g, '\n')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, ' ')
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd')
    .replace(/[ \t\u00a0]+/g, ' ')
    .replace(/\n\s*\n\s*/g, '\n\n')
    .trim();
