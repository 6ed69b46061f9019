import { characterClass, classOf, lowerOf } from './character-class.ts';

/**
 * Receives one token: its 32-bit hash, and whether it joins its neighbours in n-grams. Returns false to stop the scan.
 */
export type TokenSink = (hash: number, joins: boolean) => boolean;

const fnvBasis = 0x811c9dc5;
const fnvPrime = 0x01000193;
const shapes = { number: 1, money: 2, email: 3, link: 4, exclamation: 5, shouting: 6, longWord: 7 } as const;
/** Shapes start from hashes of their own: the word "link" is not a link. */
const shapeHash = (kind: number, detail: number): number => Math.imul((0x5bd1e995 * kind) ^ detail, fnvPrime);

const longestWord = 30;
const shortestShout = 4;

const isWordUnit = (unit: number): boolean => {
  const kind = classOf[unit]!;
  return kind === characterClass.letter || kind === characterClass.digit;
};
const apostrophe = 0x27;
const typographicApostrophe = 0x2019;
const comma = 0x2c;
const dash = 0x2d;
const dot = 0x2e;
const colon = 0x3a;
const at = 0x40;
const bang = 0x21;
const unitsOf = (text: string): ReadonlySet<number> =>
  new Set(Array.from(text, (character) => character.charCodeAt(0)));
const currencies = unitsOf('$£€¥');
/** What ends a link in running text, besides white space. */
const linkEnds = unitsOf('<>"\'()[]{}|');
const hashOf = (word: string): number =>
  Array.from(word).reduce((hash, character) => Math.imul(hash ^ character.charCodeAt(0), fnvPrime), fnvBasis);
const linkSchemes = new Set(['http', 'https', 'ftp'].map(hashOf));
const www = hashOf('www');

/**
 * Tokenizer, version 1. One pass over UTF-16 code units that hashes while it reads (FNV-1a, 32 bits), so no substring is
 * made. Tokens are case-folded words of letters, digits and inner apostrophes; what says little by its exact value
 * becomes a shape: numbers and money by length, addresses and links (their host stays, as words), exclamation marks,
 * shouting. Chinese, Japanese and Korean have no spaces: each character is a word, and n-grams find the words.
 *
 * A change here changes ids: that is version 2 of the preprocessing.
 */
export function scanTokens(text: string, sink: TokenSink): void {
  new Scanner(text, sink).run();
}

class Scanner {
  private readonly text: string;
  private readonly sink: TokenSink;
  private position = 0;
  private open = true;

  constructor(text: string, sink: TokenSink) {
    // Full-width letters, ligatures and composed accents: one spelling. ASCII is left alone, at full speed.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the ASCII range
    this.text = /^[\u0000-\u007f]*$/.test(text) ? text : text.normalize('NFKC');
    this.sink = sink;
  }

  run(): void {
    const { text } = this;
    while (this.open && this.position < text.length) {
      const unit = text.charCodeAt(this.position);
      const kind = classOf[unit]!;
      if (kind === characterClass.letter) this.word();
      else if (kind === characterClass.digit) this.number(shapes.number);
      else if (kind === characterClass.ideograph) {
        this.position++;
        this.emit(Math.imul(fnvBasis ^ unit, fnvPrime));
      } else if (unit === bang) this.exclamation();
      else {
        this.position++;
        if (currencies.has(unit) && classOf[text.charCodeAt(this.position)] === characterClass.digit)
          this.number(shapes.money);
      }
    }
  }

  private emit(hash: number, joins = true): void {
    if (this.open) this.open = this.sink(hash, joins);
  }

  private word(): void {
    const { text } = this;
    const start = this.position;
    let hash = fnvBasis;
    let capitals = 0;
    let unit = text.charCodeAt(start);
    for (;;) {
      const lower = lowerOf[unit]!;
      if (lower !== unit) capitals++;
      hash = Math.imul(hash ^ lower, fnvPrime);
      unit = text.charCodeAt(++this.position);
      if (isWordUnit(unit)) continue;
      if ((unit === apostrophe || unit === typographicApostrophe) && isWordUnit(text.charCodeAt(this.position + 1))) {
        unit = text.charCodeAt(++this.position);
        continue;
      }
      break;
    }
    const length = this.position - start;
    if (unit === at && isWordUnit(text.charCodeAt(this.position + 1))) this.address(shapes.email);
    else if (unit === colon && linkSchemes.has(hash) && text.startsWith('//', this.position + 1)) {
      this.position += 2;
      this.address(shapes.link);
    } else if (unit === dot && hash === www) this.address(shapes.link);
    else if (length > longestWord) this.emit(shapeHash(shapes.longWord, 0));
    else {
      this.emit(hash);
      if (capitals === length && length >= shortestShout) this.emit(shapeHash(shapes.shouting, 0), false);
    }
  }

  /** The host of a link or an address, as words; the path of a link is skipped. `position` is on the mark before it. */
  private address(shape: number): void {
    const { text } = this;
    this.emit(shapeHash(shape, 0));
    let hash = fnvBasis;
    let length = 0;
    const label = () => {
      if (length > 0 && hash !== www) this.emit(hash);
      hash = fnvBasis;
      length = 0;
    };
    let unit = text.charCodeAt(++this.position);
    for (; isWordUnit(unit) || unit === dot || unit === dash; unit = text.charCodeAt(++this.position)) {
      if (unit === dot) label();
      else {
        hash = Math.imul(hash ^ lowerOf[unit]!, fnvPrime);
        length++;
      }
    }
    label();
    if (shape !== shapes.link) return;
    while (this.position < text.length && unit > 0x20 && unit < 0x7f && !linkEnds.has(unit))
      unit = text.charCodeAt(++this.position);
  }

  /** A number by its count of digits: `10,000.00` is seven. With letters in it (`3d`, `7bit`) it is a word. */
  private number(shape: number): void {
    const { text } = this;
    let digits = 0;
    let end = this.position;
    for (;;) {
      const unit = text.charCodeAt(end);
      const kind = classOf[unit];
      if (kind === characterClass.digit) digits++;
      else if (kind === characterClass.letter) {
        this.word();
        return;
      } else if (!((unit === comma || unit === dot) && classOf[text.charCodeAt(end + 1)] === characterClass.digit))
        break;
      end++;
    }
    this.position = end;
    this.emit(shapeHash(shape, Math.min(digits, 12)));
  }

  private exclamation(): void {
    const start = this.position;
    while (this.text.charCodeAt(this.position) === bang) this.position++;
    this.emit(shapeHash(shapes.exclamation, Math.min(this.position - start, 3)), false);
  }
}
