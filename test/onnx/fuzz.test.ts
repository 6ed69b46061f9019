import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { OnnxError } from '../../src/onnx/error.ts';
import { decodeModel } from '../../src/onnx/proto/decode.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { quantizeDynamic } from '../../src/onnx/quantize/dynamic.ts';
import { conditional, everyKind, textClassifier } from './models.ts';
import { type Field, lists, parse, serialise, varint } from './wire-tree.ts';

const originals = [
  everyKind(),
  conditional(),
  textClassifier({ vocabulary: 6, width: 3 }),
  quantizeDynamic(textClassifier({ vocabulary: 6, width: 3 })).model,
].map(encodeModel);

/** Numbers at which readers go wrong. */
const numbers = fc.constantFrom(0n, 1n, 2n, 127n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n - 1n, -1n);
const change = fc.record({
  kind: fc.constantFrom('delete', 'repeat', 'swap', 'transplant', 'number', 'shorten', 'retype'),
  list: fc.nat(),
  at: fc.nat(),
  from: fc.nat(),
  number: numbers,
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

/** Changes one field of one message; `donor` lends a field of another model. */
function apply(tree: Field[], donor: Field[], { kind, list, at, from, number }: Change): void {
  const places = lists(tree);
  const fields = places[list % places.length]!;
  if (fields.length === 0) return;
  const index = at % fields.length;
  const field = fields[index]!;
  const lenders = lists(donor).filter(({ length }) => length > 0);
  const lent = lenders[from % lenders.length]!;
  if (kind === 'delete') fields.splice(index, 1);
  else if (kind === 'repeat') fields.splice(index, 0, field);
  else if (kind === 'swap') [fields[index], fields[from % fields.length]] = [fields[from % fields.length]!, field];
  else if (kind === 'transplant') fields[index] = lent[at % lent.length]!;
  else if (kind === 'number') fields[index] = { ...field, wireType: 0, content: varint(number) };
  else if (kind === 'retype') fields[index] = { ...field, field: 1 + (from % 20) };
  else if (field.content instanceof Uint8Array) {
    fields[index] = { ...field, content: field.content.subarray(0, from % (field.content.length + 1)) };
  }
}

/** Reads, writes and reads again; returns whether the bytes were a model. Anything but an `OnnxError` fails the test. */
function survive(bytes: Uint8Array): boolean {
  const start = process.cpuUsage();
  try {
    const model = decodeModel(bytes);
    assert.deepEqual(decodeModel(encodeModel(model)), model);
    return true;
  } catch (error) {
    assert.ok(error instanceof OnnxError, String(error instanceof Error ? error.stack : error));
    return false;
  } finally {
    const { user, system } = process.cpuUsage(start); // not the clock: others may have the processor
    assert.ok(user + system < 1_000_000, `it took ${(user + system) / 1000} ms`);
  }
}

describe('onnx/proto: hostile models', () => {
  it('survives changes of the structure: fields deleted, repeated, swapped, transplanted, cut, retyped', function () {
    this.timeout(60_000);
    let accepted = 0;
    let runs = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...originals),
        fc.constantFrom(...originals),
        fc.array(change, { minLength: 1, maxLength: 3 }),
        (original, other, changes) => {
          const tree = parse(original);
          const donor = parse(other);
          for (const step of changes) apply(tree, donor, step);
          runs++;
          if (survive(serialise(tree))) accepted++;
        },
      ),
      { numRuns: 1_500, seed: 20_260_102 },
    );
    // Both must happen, or the changes are too mild or too wild to test anything.
    assert.ok(accepted > runs / 20 && accepted < runs * 0.8, `${accepted} of ${runs} accepted`);
  });

  it('survives truncation and splices of two files', function () {
    this.timeout(60_000);
    fc.assert(
      fc.property(
        fc.constantFrom(...originals),
        fc.constantFrom(...originals),
        fc.nat(),
        fc.nat(),
        (one, two, a, b) => {
          survive(one.subarray(0, a % one.length));
          survive(Uint8Array.from([...one.subarray(0, a % one.length), ...two.subarray(b % two.length)]));
        },
      ),
      { numRuns: 500, seed: 20_260_103 },
    );
  });

  it('takes memory for what is there, not for what is declared', () => {
    const [weight] = parse(originals[2]!)
      .flatMap(({ content }) => (content instanceof Uint8Array ? [] : content))
      .filter(({ field }) => field === 5);
    assert.ok(weight);
    const tensor = (fields: Field[]): Uint8Array => {
      const tree = parse(originals[2]!);
      const graph = tree.find(({ field }) => field === 7)!.content as Field[];
      graph[graph.findIndex(({ field }) => field === 5)] = { field: 5, wireType: 2, content: fields };
      return serialise(tree);
    };
    const number = (field: number, value: bigint): Field => ({ field, wireType: 0, content: varint(value) });
    const before = process.memoryUsage().rss;
    for (const type of [1n, 6n, 7n, 8n, 10n, 13n, 22n]) {
      assert.equal(survive(tensor([number(1, 2n ** 40n), number(2, type), number(7, 1n), number(4, 1n)])), false);
    }
    // A million dimensions of size 1, and a million numbers one by one, are only slow for who sends them.
    assert.equal(survive(tensor([...Array(200_000)].map(() => number(1, 1n)))), false);
    assert.equal(survive(tensor([number(2, 7n), number(1, 3n), ...Array(200_000).fill(number(7, 5n))])), false);
    assert.ok(process.memoryUsage().rss - before < 300 * 2 ** 20);
  });

  it('refuses nesting without an end', () => {
    for (const byte of [0x0b, 0x3b, 0x3a, 0x0a, 0xff]) assert.equal(survive(new Uint8Array(100_000).fill(byte)), false);
  });
});
