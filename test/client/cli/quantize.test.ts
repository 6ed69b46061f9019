import assert from 'node:assert/strict';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { QuantizeDocument } from '../../../src/client/cli/commands/quantize-document.ts';
import { decodeModel } from '../../../src/onnx/proto/decode.ts';
import { encodeModel } from '../../../src/onnx/proto/encode.ts';
import { textClassifier } from '../../onnx/models.ts';
import { i64, runOnce, seededRandom } from '../../onnx/run.ts';
import { documentOf, runCli } from './run-cli.ts';

describe('goto3 quantize', () => {
  let folder: string;
  let model: string;
  const float = textClassifier({ vocabulary: 200, width: 16 });
  const run = (...args: string[]) => runCli(folder, ['quantize', '--smallest', '0', ...args]);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-quantize-'));
    model = join(folder, 'model.onnx');
    await writeFile(model, encodeModel(float));
    const random = seededRandom(1);
    const lines: string[] = [];
    for (let i = 0; i < 60; i++) {
      const ids = Array.from({ length: 4 + (i % 3) }, () => Math.floor(random() * 200));
      const { probabilities } = await runOnce(float, { ids: i64([1, ids.length], ids) });
      const label = probabilities!.indexOf(Math.max(...probabilities!));
      lines.push(JSON.stringify({ ids, label }));
    }
    await writeFile(join(folder, 'rows.jsonl'), `${lines.join('\n')}\n`);
  });
  after(() => rm(folder, { recursive: true }));

  it('writes beside the model, says what it did, and the file is an int8 model', async () => {
    const { code, stdout } = await run(model);
    assert.equal(code, 0);
    assert.match(stdout, /model\.int8\.onnx: .* times smaller/);
    assert.match(stdout, /3 nodes are int8 with 7-bit weights, 0 stay float/);
    const int8 = decodeModel(await readFile(join(folder, 'model.int8.onnx')));
    assert.ok(int8.graph.nodes.some(({ opType }) => opType === 'MatMulInteger'));
  });

  it('measures layers and loss on calibration rows, and writes a page that needs nothing else', async function () {
    this.timeout(60_000);
    const [output, page] = [join(folder, 'measured.onnx'), join(folder, 'report.html')];
    const { code, stdout } = await run(
      model,
      '-o',
      output,
      '--calibration',
      join(folder, 'rows.jsonl'),
      '--report',
      page,
    );
    assert.equal(code, 0, stdout);
    assert.match(stdout, /of accuracy lost on 60 rows/);
    const html = await readFile(page, 'utf8');
    for (const part of [
      '<svg',
      'Error per layer',
      'Quality, size and latency',
      'Activations',
      'Weights that lost most',
    ])
      assert.ok(html.includes(part), part);
    assert.doesNotMatch(html, /<script|<link|src=|@import|url\(/i);
    const report = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8')) as QuantizeDocument;
    assert.equal(report.schema, 'goto3/quantization/v1');
    assert.equal(report.search!.quality, 'accuracy');
    assert.equal(report.search!.float.quality, 1, 'labels are the float model’s own answers');
  });

  it('searches under a margin that nothing holds, keeps layers in float, and exits with 1', async function () {
    this.timeout(60_000);
    const args = [model, '-o', join(folder, 'searched.onnx'), '--calibration', join(folder, 'rows.jsonl'), '--json'];
    const result = await run(...args, '--margin', '0pt', '--max-trials', '3');
    const { search, nodes } = documentOf<QuantizeDocument>(result);
    assert.equal(result.code, 1);
    assert.deepEqual([search!.holds, search!.trials.map(({ keptFloat }) => keptFloat)], [false, [0, 1, 2]]);
    assert.equal(nodes.filter(({ outcome }) => outcome === 'skipped').length, search!.keptFloat);
    const generous = documentOf<QuantizeDocument>(await run(...args, '--margin', '50pt'));
    assert.deepEqual([generous.search!.holds, generous.search!.trials.length], [true, 1]);
  });

  it('leaves small matrices in float unless told otherwise: int8 makes them slower', async () => {
    const document = documentOf<QuantizeDocument>(
      await runCli(folder, ['quantize', model, '-o', join(folder, 'paying.onnx'), '--json']),
    );
    assert.deepEqual(
      document.nodes.map((node) => (node.outcome === 'skipped' ? node.code : node.outcome)),
      ['quantized', 'wouldNotPay', 'wouldNotPay'],
    );
  });

  it('keeps what it is told to in float', async () => {
    const document = documentOf<QuantizeDocument>(
      await run(model, '-o', join(folder, 'kept.onnx'), '--exclude', 'Gather_0', '--json'),
    );
    assert.deepEqual(
      document.nodes.map(({ node, outcome }) => [node, outcome]),
      [
        ['Gather_0', 'skipped'],
        ['MatMul_0', 'quantized'],
        ['Gemm_0', 'quantized'],
      ],
    );
  });

  it('refuses with exit code 2 and writes nothing: no model, no int8, a margin without rows, rows that do not fit', async () => {
    const rows = join(folder, 'bad.jsonl');
    await writeFile(rows, '{"ids": [[1], [2, 3]]}\n');
    const output = join(folder, 'never.onnx');
    for (const [args, message] of [
      [[join(folder, 'none.onnx')], /none\.onnx: expected an ONNX model/],
      [[rows], /not an ONNX model|wire|proto|cut off/i],
      [[join(folder, 'model.int8.onnx')], /nothing in it can be quantized/],
      [[model, '--margin', '1pt'], /--margin: expected --calibration too/],
      [[model, '--calibration', rows], /row 1: input "ids": its lists differ in length/],
      [[model, '--weight-bits', '9'], /expected 7 or 8/],
      [[model, '--exclude', 'nothing'], /no node "nothing"/],
    ] as const) {
      const { code, stderr } = await run(...args, '-o', output);
      assert.match(stderr, message);
      assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
      await assert.rejects(access(output));
    }
  });
});
