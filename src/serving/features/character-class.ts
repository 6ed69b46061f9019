/** What a UTF-16 code unit is to the tokenizer. */
export const characterClass = {
  other: 0,
  letter: 1,
  digit: 2,
  /** A word by itself: Han, Kana, Hangul. */ ideograph: 3,
} as const;

const codeUnits = 65_536;
const letter = /[\p{L}\p{M}\p{Nl}\p{No}_]/u;
const ideograph = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;

/** Class of each code unit. Surrogates count as letters, so that an emoji or a rare script is a word, not a gap. */
export const classOf: Uint8Array = new Uint8Array(codeUnits);
/** Lower case of each code unit, where lower case is one code unit; itself otherwise. */
export const lowerOf: Uint16Array = new Uint16Array(codeUnits);

for (let unit = 0; unit < codeUnits; unit++) {
  const text = String.fromCharCode(unit);
  const isSurrogate = unit >= 0xd800 && unit <= 0xdfff;
  classOf[unit] =
    text >= '0' && text <= '9'
      ? characterClass.digit
      : isSurrogate
        ? characterClass.letter
        : ideograph.test(text)
          ? characterClass.ideograph
          : letter.test(text) || /\p{Nd}/u.test(text)
            ? characterClass.letter
            : characterClass.other;
  const lower = text.toLowerCase();
  lowerOf[unit] = lower.length === 1 ? lower.charCodeAt(0) : unit;
}
