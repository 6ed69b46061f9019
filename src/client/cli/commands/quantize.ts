import { type Command, InvalidArgumentError } from 'commander';
import { define, runs } from '../command.ts';

export interface QuantizeOptions {
  output?: string;
  calibration?: string;
  margin?: string;
  maxTrials: number;
  perTensor?: boolean;
  weightBits: 7 | 8;
  exclude?: string[];
  report?: string;
}

export function registerQuantize(program: Command): void {
  define(program, 'quantize <model>', 'make an ONNX model int8 (dynamic); needs no stack and no store', [
    'quantize model.onnx                                 writes model.int8.onnx',
    'quantize model.onnx -o small.onnx --weight-bits 8   for CPUs with VNNI, or an engine with session.x64quantprecision',
    'quantize model.onnx --calibration rows.jsonl        also measures every layer, and the loss against float',
    'quantize model.onnx --calibration rows.jsonl --margin 1pt   keeps the worst layers in float until the loss is below',
    'quantize model.onnx --calibration rows.jsonl --margin 1pt --report int8.html',
    'quantize model.onnx --exclude classifier.dense --json',
  ])
    .option('-o, --output <file>', 'where to write the int8 model (default: beside the model, as <name>.int8.onnx)')
    .option('--calibration <rows.jsonl>', 'a row a line: a value for each input of the model, and maybe its `label`')
    .option(
      '--margin <points>',
      'quality that may be lost at most, at 95 % confidence, such as 1pt; needs --calibration',
    )
    .option('--max-trials <n>', 'models that the search may try', positive, 12)
    .option('--per-tensor', 'one scale for a matrix instead of one for each output channel')
    .option('--weight-bits <7|8>', '7 is right on every CPU; 8 is finer, and wrong on x64 without VNNI', bits, 7)
    .option('--exclude <nodes...>', 'nodes that stay float, by name')
    .option('--report <page.html>', 'a page with plots, and the same as JSON beside it')
    .action(
      runs<QuantizeOptions, [model: string]>(async ({ output }, options, model) => {
        const { quantizeFile } = await import('./quantize-file.ts');
        return await quantizeFile(model, options, output);
      }),
    );
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number from 1 on');
  return value;
}

function bits(text: string): 7 | 8 {
  if (text === '7') return 7;
  if (text === '8') return 8;
  throw new InvalidArgumentError('expected 7 or 8');
}
