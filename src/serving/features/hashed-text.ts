import type { HashedTextPreprocessing } from '../../contracts/model.ts';
import { scanTokens } from './scan-tokens.ts';

/**
 * The set of hashed words and word n-grams of one row, in reading order, each once, at most `maxTokens`: ids from 1 to
 * `buckets - 1`, because 0 pads. `texts` are the values of `preprocessing.features`, in that order. The same text gives
 * the same ids in the trainer and in the endpoint, on every machine; golden tests pin them (`version: 1`).
 */
export function hashedTextIds(texts: readonly string[], preprocessing: HashedTextPreprocessing): Int32Array {
  const { features, buckets, maxTokens, wordNgrams } = preprocessing;
  const ids = new Int32Array(maxTokens);
  const { stamps: seen, row } = nextRow(buckets);
  const recent = new Int32Array(wordNgrams);
  let count = 0;

  const add = (hash: number): void => {
    const id = 1 + ((mix(hash) >>> 0) % (buckets - 1));
    if (count === maxTokens || seen[id] === row) return;
    seen[id] = row;
    ids[count++] = id;
  };

  for (const [f, feature] of features.entries()) {
    const namespace = hashName(feature);
    let words = 0;
    scanTokens(texts[f] ?? '', (token, joins) => {
      const word = mix(token ^ namespace);
      add(word);
      if (joins) {
        let ngram = word;
        for (let n = 2; n <= wordNgrams && n <= words + 1; n++) {
          ngram = (Math.imul(ngram, 0x9e3779b1) + n) ^ recent[(words + 1 - n) % wordNgrams]!;
          add(ngram);
        }
        recent[words++ % wordNgrams] = word;
      }
      return count < maxTokens;
    });
  }
  return ids.slice(0, count);
}

/** Which ids the current row has had: stamped with the row's number, so that it is not cleared for each row. */
let stamps = new Int32Array(0);
let rowNumber = 0;
function nextRow(buckets: number): { stamps: Int32Array; row: number } {
  if (stamps.length < buckets) stamps = new Int32Array(buckets);
  if (rowNumber === 0x7fffffff) {
    stamps.fill(0);
    rowNumber = 0;
  }
  return { stamps, row: ++rowNumber };
}

/** Features hash apart: "free" in a subject is not "free" in a body. FNV-1a over the name. */
function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash;
}

/** Finalizer of MurmurHash3 (A. Appleby, public domain): every input bit reaches every output bit. */
function mix(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
