import { strict as assert } from 'node:assert';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEncoderConfig } from '../../../src/onnx/encoder/config.ts';
import { type Encoder, openEncoder } from '../../../src/onnx/encoder/folder.ts';
import { OnnxError } from '../../../src/onnx/error.ts';
import { writeCheckpoint } from './checkpoints.ts';

const bert = {
  model_type: 'bert',
  vocab_size: 100,
  hidden_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  intermediate_size: 64,
  max_position_embeddings: 40,
};

describe('onnx/encoder: configuration', () => {
  it('reads the fields of each family, with the defaults of transformers', () => {
    const { family, activation, layerNormEpsilon, padTokenId, maxTokens, tokenTypes, labels } =
      parseEncoderConfig(bert);
    assert.deepEqual(
      [family, activation, layerNormEpsilon, padTokenId, maxTokens, tokenTypes, labels],
      ['bert', 'gelu', 1e-12, 0, 40, 2, []],
    );
    const roberta = parseEncoderConfig({ ...bert, model_type: 'xlm-roberta', max_position_embeddings: 514 });
    assert.deepEqual([roberta.family, roberta.padTokenId, roberta.maxTokens], ['roberta', 1, 512]);
    const head = { ...bert, architectures: ['BertForSequenceClassification'] };
    assert.deepEqual(parseEncoderConfig(head).labels, ['LABEL_0', 'LABEL_1']);
    assert.deepEqual(parseEncoderConfig({ ...head, id2label: { 1: 'spam', 0: 'ham' } }).labels, ['ham', 'spam']);
  });

  const cases: [change: object, message: RegExp][] = [
    [{ model_type: 'gpt2' }, /model_type "gpt2" is not supported, expected one of bert, roberta/],
    [{ model_type: 'constructor' }, /not supported/],
    [{ model_type: undefined }, /model_type/],
    [{ hidden_size: undefined }, /hidden_size/],
    [{ hidden_size: 33 }, /4 heads do not divide a hidden size of 33/],
    [{ hidden_act: 'silu' }, /hidden_act "silu" is not supported, expected gelu, gelu_new/],
    [{ position_embedding_type: 'relative_key' }, /position_embedding_type/],
    [{ is_decoder: true }, /is_decoder/],
    [{ num_hidden_layers: 1e9 }, /num_hidden_layers/],
    [{ model_type: 'roberta', max_position_embeddings: 3 }, /leaves no room for tokens/],
    [{ architectures: ['BertForSequenceClassification'], id2label: { 0: 'a', 2: 'b' } }, /id2label has no label 1/],
  ];
  for (const [change, message] of cases) {
    it(`refuses ${Object.entries(change).flat().map(String).join(' ')}`, () => {
      assert.throws(
        () => parseEncoderConfig({ ...bert, ...change }),
        (error) => error instanceof OnnxError && message.test(error.message),
        message.source,
      );
    });
  }
});

describe('onnx/encoder: folder', () => {
  let folder: string;
  const opened: Encoder[] = [];
  const open = (): Encoder => {
    const encoder = openEncoder(folder);
    opened.push(encoder);
    return encoder;
  };
  const write = (name: string, json: unknown): void => {
    mkdirSync(join(folder, '1_Pooling'), { recursive: true });
    writeFileSync(join(folder, name), typeof json === 'string' ? json : JSON.stringify(json));
  };
  const refused = (message: RegExp): void =>
    assert.throws(open, (error) => error instanceof OnnxError && message.test(error.message), message.source);
  const modules = (...kinds: string[]): object[] =>
    kinds.map((kind, idx) => ({ idx, name: `${idx}`, path: '', type: `sentence_transformers.models.${kind}` }));

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'goto3-folder-'));
    await writeCheckpoint(folder, 'bert');
  });
  afterEach(() => {
    for (const encoder of opened.splice(0)) encoder.close();
    rmSync(folder, { recursive: true });
  });

  it('takes pooling and length from sentence-transformers files where there are any', () => {
    assert.deepEqual(open().pooling, { pooling: 'mean', normalize: false });
    assert.equal(open().tokenizer.maxTokens, 40);
    write('modules.json', modules('Transformer', 'Pooling', 'Normalize'));
    write('1_Pooling/config.json', { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false });
    write('sentence_bert_config.json', { max_seq_length: 12, do_lower_case: false });
    assert.deepEqual(open().pooling, { pooling: 'cls', normalize: true });
    assert.equal(open().tokenizer.maxTokens, 12);
    write('tokenizer_config.json', { model_max_length: 1e30 });
    assert.equal(open().tokenizer.maxTokens, 12);
    write('tokenizer_config.json', { model_max_length: 8 });
    assert.equal(open().tokenizer.maxTokens, 8);
  });

  it('refuses what it would compute wrongly', () => {
    write('modules.json', modules('Transformer', 'Pooling', 'Dense'));
    refused(/modules.json: expected Transformer, Pooling, Normalize, found Transformer, Pooling, Dense/);
    write('modules.json', modules('Transformer', 'Pooling'));
    write('1_Pooling/config.json', { pooling_mode_mean_tokens: true, pooling_mode_max_tokens: true });
    refused(/expected mean or cls pooling, found pooling_mode_mean_tokens, pooling_mode_max_tokens/);
  });

  it('names the file that is missing or broken', () => {
    write('tokenizer.json', '{');
    refused(/tokenizer.json: it is not JSON/);
    write('tokenizer.json', { model: { type: 'Nonsense' } });
    refused(/tokenizer.json: it does not load/);
    rmSync(join(folder, 'tokenizer.json'));
    refused(/it has no tokenizer.json/);
    rmSync(join(folder, 'model.safetensors'));
    writeFileSync(join(folder, 'pytorch_model.bin'), 'never read');
    refused(/it has no/);
    write('config.json', 'null');
    refused(/expected an object/);
  });

  it('separates rare ideographs and lower-cases by character, as the reference does', () => {
    const { tokenizer } = open();
    assert.equal(tokenizer.encode('\u{20000}\u{2a700}').length, 4); // two unknown pieces, not one
    assert.equal(tokenizer.encode('\u{1f916}\u{1f916}').length, 3); // other pairs of UTF-16 units are one word
    assert.deepEqual(tokenizer.encode('ΑΣ'), tokenizer.encode('ασ'));
  });

  it('cuts long texts before the last special token, as the reference does', () => {
    const { tokenizer } = open();
    const long = 'the weather is lovely today '.repeat(50);
    const ids = tokenizer.encode(long);
    const short = tokenizer.encode('the');
    assert.equal(ids.length, 40);
    assert.deepEqual([ids[0], ids[1], ids.at(-1)], [short[0], short[1], short.at(-1)]);
    assert.equal(short.length, 3);
    assert.equal(tokenizer.encode('').length, 2);
    // What lies behind the cut has no say, and costs nothing.
    assert.deepEqual(tokenizer.encode(long.repeat(1_000)), ids);
    const start = process.cpuUsage();
    tokenizer.encode(long.repeat(1_000)); // all 1.4 MB of it would take seconds
    assert.ok(process.cpuUsage(start).user < 300_000);
  });
});
