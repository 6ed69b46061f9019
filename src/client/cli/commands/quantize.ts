import { type Command, InvalidArgumentError } from 'commander';
import { fewestThatPay } from '../../../onnx/quantize/pays.ts';
import { define, runs } from '../command.ts';

export interface QuantizeOptions {
  output?: string;
  calibration?: string;
  margin?: string;
  maxTrials: number;
  perTensor?: boolean;
  weightBits: 7 | 8;
  smallest: number;
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
    .option('--smallest <weights>', 'matrices with fewer stay float: int8 is slower there', count, fewestThatPay)
    .option('--exclude <nodes...>', 'nodes that stay float, by name')
    .option('--report <page.html>', 'a page with plots, and the same as JSON beside it')
    .action(
      runs<QuantizeOptions, [model: string]>(async ({ output }, options, model) => {
        const { quantizeFile } = await import('./quantize-file.ts');
        return await quantizeFile(model, options, output);
      }),
    );
}

const positive = (text: string): number => wholeFrom(1, text);
const count = (text: string): number => wholeFrom(0, text);

function wholeFrom(least: number, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < least)
    throw new InvalidArgumentError(`expected a whole number from ${least} on`);
  return value;
}

function bits(text: string): 7 | 8 {
  if (text === '7') return 7;
  if (text === '8') return 8;
  throw new InvalidArgumentError('expected 7 or 8');
}
