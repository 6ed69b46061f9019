import { Tokenizer } from '@huggingface/tokenizers';
import { OnnxError } from '../error.ts';
import { preparationFor } from './text-preparation.ts';

/** Turns texts into token ids, special tokens included, cut to a length. */
export interface TextTokenizer {
  readonly maxTokens: number;
  readonly padTokenId: number;
  /** At least the special tokens, at most `maxTokens` ids. */
  encode(text: string): number[];
}

/**
 * A tokenizer from `tokenizer.json` and `tokenizer_config.json`. Longer texts are cut as the reference does
 * (`truncation='longest_first'` of one text): the text's own tokens at their end, never the special ones. Throws `OnnxError`
 * for a tokenizer that does not load.
 */
export function textTokenizer(
  tokenizerJson: object,
  tokenizerConfig: object,
  { maxTokens, padTokenId }: { maxTokens: number; padTokenId: number },
): TextTokenizer {
  const tokenizer = load(tokenizerJson, tokenizerConfig);
  const { prepare, wordEnd } = preparationFor(tokenizerJson);
  const [before, after] = specialTokens(tokenizer);
  const room = maxTokens - before.length - after.length;
  if (room < 1) throw new OnnxError(`tokenizer.json: special tokens leave no room in ${maxTokens} tokens`);
  return {
    maxTokens,
    padTokenId,
    encode(text) {
      const ids = firstIds(text, room, wordEnd, (part) => idsOf(tokenizer, prepare(part)));
      return [...before, ...ids, ...after];
    },
  };
}

/**
 * The first `room` ids of a text without tokenising all of a long one (a megabyte takes seconds, and blocks). A text is cut
 * only behind a word, where nothing that follows can change what came before; one without word ends is tokenised whole.
 */
function firstIds(text: string, room: number, wordEnd: RegExp, idsOfPart: (part: string) => number[]): number[] {
  const endOfWord = new RegExp(wordEnd, 'g');
  for (let limit = 8 * room; limit < text.length; limit *= 4) {
    endOfWord.lastIndex = limit;
    const end = endOfWord.exec(text);
    if (end === null) break;
    const ids = idsOfPart(text.slice(0, end.index));
    if (ids.length > room) return ids.slice(0, room);
  }
  return idsOfPart(text).slice(0, room);
}

function load(tokenizerJson: object, tokenizerConfig: object): Tokenizer {
  try {
    return new Tokenizer(tokenizerJson, tokenizerConfig);
  } catch (error) {
    throw new OnnxError(`tokenizer.json: it does not load: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

const idsOf = (tokenizer: Tokenizer, text: string): number[] =>
  tokenizer.encode(text, { add_special_tokens: false }).ids;

/** What the post-processor puts before and behind a text, found by looking at one. */
function specialTokens(tokenizer: Tokenizer): [before: number[], after: number[]] {
  const probe = 'a';
  const own = idsOf(tokenizer, probe);
  const all: number[] = tokenizer.encode(probe).ids;
  const at = all.findIndex((_, i) => own.every((id, j) => all[i + j] === id));
  if (at < 0 || own.length === 0)
    throw new OnnxError('tokenizer.json: its post-processor changes the tokens of a text');
  return [all.slice(0, at), all.slice(at + own.length)];
}
