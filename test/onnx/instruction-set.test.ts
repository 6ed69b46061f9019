import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import {
  type Arithmetic,
  type InstructionSet,
  instructionSetOf,
  instructionSets,
  saturates,
  whyVerdictDoesNotCount,
} from '../../src/onnx/quantize/instruction-set.ts';

const of = (architecture: string, ...flags: string[]): InstructionSet =>
  instructionSetOf({ architecture, flags: new Set(flags) });

describe('onnx/quantize/instruction-set', () => {
  it('names what a CPU serves with, the best first', () => {
    const avx512 = ['avx2', 'avx512bw', 'avx512dq', 'avx512vl'];
    assert.equal(of('x64', ...avx512, 'avx512_vnni', 'amx_tile', 'amx_int8'), 'x64-amx-int8');
    assert.equal(of('x64', ...avx512, 'avx512_vnni'), 'x64-avx512-vnni');
    assert.equal(of('x64', 'avx2', 'avx_vnni'), 'x64-avx-vnni');
    assert.equal(of('x64', ...avx512), 'x64-avx512');
    assert.equal(of('x64', 'avx2'), 'x64-avx2');
    assert.equal(of('x64', 'sse4_1'), 'x64-sse');
    assert.equal(of('arm64', 'asimd', 'asimddp', 'i8mm'), 'arm64-i8mm');
    assert.equal(of('arm64', 'asimd', 'asimddp'), 'arm64-dotprod');
    assert.equal(of('arm64', 'asimd'), 'arm64-neon');
    assert.equal(of('x64'), 'unknown');
    assert.equal(of('riscv64', 'v'), 'unknown');
  });

  it('counts a verdict everywhere when sums are exact, else only where it was measured', () => {
    const vnni: Arithmetic = { instructionSet: 'x64-avx512-vnni', weightBits: 8, x64QuantPrecision: false };
    const avx2: Arithmetic = { instructionSet: 'x64-avx2', weightBits: 8, x64QuantPrecision: false };
    assert.equal(whyVerdictDoesNotCount(vnni, { ...vnni, instructionSet: 'arm64-neon' }), undefined);
    assert.equal(whyVerdictDoesNotCount(avx2, avx2), undefined);
    assert.match(whyVerdictDoesNotCount(vnni, avx2)!, /measured with x64-avx512-vnni .* serve with x64-avx2/);
    assert.match(whyVerdictDoesNotCount(avx2, { ...avx2, instructionSet: 'x64-avx512' })!, /other numbers/);
    for (const change of [{ weightBits: 7 }, { x64QuantPrecision: true }] as const)
      assert.equal(whyVerdictDoesNotCount({ ...vnni, ...change }, { ...avx2, ...change }), undefined);
    const unknown: Arithmetic = { ...avx2, instructionSet: 'unknown' };
    assert.match(whyVerdictDoesNotCount(unknown, unknown)!, /unknown/, 'two unknown CPUs need not be the same');
  });

  it('is symmetric, and never counts a verdict across saturating and exact sums', () => {
    const arithmetic = fc.record({
      instructionSet: fc.constantFrom(...instructionSets),
      weightBits: fc.constantFrom(7 as const, 8 as const),
      x64QuantPrecision: fc.boolean(),
    });
    fc.assert(
      fc.property(arithmetic, arithmetic, (a, b) => {
        const counts = whyVerdictDoesNotCount(a, b) === undefined;
        assert.equal(counts, whyVerdictDoesNotCount(b, a) === undefined);
        if (saturates(a) !== saturates(b)) assert.equal(counts, false);
      }),
    );
  });
});
