/** `tokenizer.json` of a small WordPiece tokenizer as BERT's: printable ASCII, a few letters more, a few words. */
export function wordPieceTokenizer(): { json: object; size: number } {
  const letters = [...Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)), ...'äöüßéñ日本語мирا'].filter(
    (letter) => letter === letter.toLowerCase(),
  );
  const words = ['the', 'weather', 'is', 'lovely', 'today', 'he', 'drove', 'to', 'stadium', '##ing', '##ed', '##er'];
  const pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', ...letters, ...letters.map((letter) => `##${letter}`)];
  const vocab = Object.fromEntries([...new Set([...pieces, ...words])].map((piece, id) => [piece, id]));
  const special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  const token = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  return {
    size: Object.keys(vocab).length,
    json: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: special.map((content) => addedToken(content, vocab[content]!)),
      normalizer: {
        type: 'BertNormalizer',
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: null,
        lowercase: true,
      },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: {
        type: 'TemplateProcessing',
        single: [token('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, token('[SEP]')],
        pair: [
          token('[CLS]'),
          { Sequence: { id: 'A', type_id: 0 } },
          token('[SEP]'),
          { Sequence: { id: 'B', type_id: 1 } },
          { SpecialToken: { id: '[SEP]', type_id: 1 } },
        ],
        special_tokens: Object.fromEntries(
          ['[CLS]', '[SEP]'].map((id) => [id, { id, ids: [vocab[id]], tokens: [id] }]),
        ),
      },
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
      model: {
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab,
      },
    },
  };
}

/** `tokenizer.json` of a small byte-level BPE tokenizer as RoBERTa's: every byte, a few merges. */
export function bytePairTokenizer(): { json: object; size: number } {
  const special = ['<s>', '<pad>', '</s>', '<unk>', '<mask>'];
  const merges = [
    ['t', 'h'],
    ['th', 'e'],
    ['Ġ', 'the'],
    ['i', 's'],
    ['Ġ', 'is'],
    ['e', 'r'],
    ['i', 'n'],
  ] as const;
  const pieces = [...special, ...byteLetters(), ...merges.map((pair) => pair.join(''))];
  const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
  return {
    size: pieces.length,
    json: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: special.map((content) => addedToken(content, vocab[content]!)),
      normalizer: null,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      post_processor: {
        type: 'RobertaProcessing',
        sep: ['</s>', vocab['</s>']],
        cls: ['<s>', vocab['<s>']],
        trim_offsets: true,
        add_prefix_space: false,
      },
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: '',
        end_of_word_suffix: '',
        fuse_unk: false,
        byte_fallback: false,
        vocab,
        merges: merges.map((pair) => pair.join(' ')),
      },
    },
  };
}

const addedToken = (content: string, id: number): object => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** The letters that stand for the 256 bytes in GPT-2's byte-level BPE: printable ones themselves, others from U+0100 on. */
function byteLetters(): string[] {
  const isPrintable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : next++));
}
