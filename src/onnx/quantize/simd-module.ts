/**
 * A WebAssembly module of two loops, written out instruction by instruction, because 128-bit vectors do in a nanosecond
 * what four rounds of JavaScript do in ten: quantizing a model is one pass of these over every weight. Opcodes:
 * webassembly.github.io/spec/core/binary/instructions.html.
 */
const i32 = 0x7f;
const v128 = 0x7b;

const get = (local: number): number[] => [0x20, local];
const set = (local: number): number[] => [0x21, local];
const constant = (value: number): number[] => [0x41, ...signed(value)];
const add = [0x6a];
const subtract = [0x6b];
const simd = (opcode: number): number[] => [0xfd, ...unsigned(opcode)];
/** Alignment is a hint: 0 promises nothing. */
const load = (offset = 0): number[] => [...simd(0), 0, ...unsigned(offset)];
const store = (offset = 0): number[] => [...simd(11), 0, ...unsigned(offset)];
const storeLane32 = [...simd(90), 0, 0, 0];
const splatI32 = simd(17);
const and = simd(78);
const maxI32 = simd(184);
const minI32 = simd(182);
const divideF32 = simd(231);
/** To the nearest integer, ties to even. */
const nearestF32 = simd(106);
const truncateToI32 = simd(248);
const narrowTo16 = simd(133);
const narrowTo8 = simd(101);
const promoteLow = simd(95);
const convertLow = simd(254);
const addF64 = simd(240);
const subtractF64 = simd(241);
const multiplyF64 = simd(242);
const absF64 = simd(236);
const maxF64 = simd(247);
/** Lanes 2 and 3 into 0 and 1. */
const highHalf = (local: number): number[] => [
  ...get(local),
  ...get(local),
  ...simd(13),
  ...Array.from({ length: 16 }, (_, byte) => (byte + 8) % 16),
];

/** `do { body } while (local > 0)`. */
const whilePositive = (local: number, body: number[]): number[] => [
  ...[0x03, 0x40],
  ...body,
  ...[...get(local), ...constant(0), 0x4a, 0x0d, 0],
  0x0b,
];
const advance = (local: number, by: number[]): number[] => [...get(local), ...by, ...add, ...set(local)];

/** largest(weights, most, count, stride): most[i] = max(most[i], |weights[i]|) on the bits, four at a time. */
function largestBody(): number[] {
  const [weights, most, count, stride] = [0, 1, 2, 3];
  const mask = 4;
  return [
    ...[...constant(0x7fff_ffff), ...splatI32, ...set(mask)],
    ...whilePositive(count, [
      ...[...get(most), ...get(most), ...load()],
      ...[...get(weights), ...load(), ...get(mask), ...and, ...maxI32, ...store()],
      ...advance(weights, constant(16)),
      ...advance(most, get(stride)),
      ...[...get(count), ...constant(4), ...subtract, ...set(count)],
    ]),
  ];
}

/**
 * quantize(weights, scales, out, count, stride, limit, loss): out[i] = clamp(round(weights[i] / scales[i])), and in loss
 * [max |d|, Σw², Σd²], each in two lanes, of d = weights[i] − scales[i]·out[i] in double precision.
 */
function quantizeBody(): number[] {
  const [weights, scales, out, count, stride, limit, loss] = [0, 1, 2, 3, 4, 5, 6];
  const [high, low, w, s, q, most, signal, noise, a, d] = [7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
  const half = (of: (local: number) => number[]): number[] => [
    ...[...of(w), ...promoteLow, ...set(a)],
    ...[...get(a), ...of(s), ...promoteLow, ...of(q), ...convertLow, ...multiplyF64, ...subtractF64, ...set(d)],
    ...[...get(most), ...get(d), ...absF64, ...maxF64, ...set(most)],
    ...[...get(signal), ...get(a), ...get(a), ...multiplyF64, ...addF64, ...set(signal)],
    ...[...get(noise), ...get(d), ...get(d), ...multiplyF64, ...addF64, ...set(noise)],
  ];
  return [
    ...[...get(limit), ...splatI32, ...set(high)],
    ...[...constant(0), ...get(limit), ...subtract, ...splatI32, ...set(low)],
    ...[most, signal, noise].flatMap((local, i) => [...get(loss), ...load(16 * i), ...set(local)]),
    ...whilePositive(count, [
      ...[...get(weights), ...load(), ...set(w)],
      ...[...get(scales), ...load(), ...set(s)],
      ...[...get(w), ...get(s), ...divideF32, ...nearestF32, ...truncateToI32],
      ...[...get(high), ...minI32, ...get(low), ...maxI32, ...set(q)],
      ...[...get(out), ...get(q), ...get(q), ...narrowTo16, ...get(q), ...get(q), ...narrowTo16, ...narrowTo8],
      ...storeLane32,
      ...half(get),
      ...half(highHalf),
      ...advance(weights, constant(16)),
      ...advance(scales, get(stride)),
      ...advance(out, constant(4)),
      ...[...get(count), ...constant(4), ...subtract, ...set(count)],
    ]),
    ...[most, signal, noise].flatMap((local, i) => [...get(loss), ...get(local), ...store(16 * i)]),
  ];
}

/** The module: exports `memory` (of `pages` 64 KiB), `largest` and `quantize`. */
export function simdModule(pages: number): Uint8Array<ArrayBuffer> {
  const type = (parameters: number): number[] => [0x60, ...vector(Array<number[]>(parameters).fill([i32])), 0];
  const body = (vectors: number, code: number[]): number[] => {
    const whole = [...vector([[...unsigned(vectors), v128]]), ...code, 0x0b];
    return [...unsigned(whole.length), ...whole];
  };
  const named = (name: string, kind: number, index: number): number[] => [
    ...vector([...Buffer.from(name)].map((byte) => [byte])),
    kind,
    index,
  ];
  const section = (id: number, items: number[][]): number[] => {
    const content = vector(items);
    return [id, ...unsigned(content.length), ...content];
  };
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [type(4), type(7)]),
    ...section(3, [[0], [1]]),
    ...section(5, [[0, ...unsigned(pages)]]),
    ...section(7, [named('memory', 2, 0), named('largest', 0, 0), named('quantize', 0, 1)]),
    ...section(10, [body(1, largestBody()), body(10, quantizeBody())]),
  ]);
}

const vector = (items: readonly number[][]): number[] => [...unsigned(items.length), ...items.flat()];

/** LEB128. */
function unsigned(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)];
}
function signed(value: number): number[] {
  const rest = value >> 7;
  const byte = value & 127;
  const isLast = (rest === 0 && (byte & 64) === 0) || (rest === -1 && (byte & 64) !== 0);
  return isLast ? [byte] : [byte | 128, ...signed(rest)];
}
