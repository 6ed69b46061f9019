import { strict as assert } from 'node:assert';
import { hasVnni, needsReducedRange, parseCpuFlags, readCpuFeatures } from '../../src/onnx/quantize/cpu.ts';

const cpu = (architecture: string, cpuinfo: string) => ({ architecture, flags: parseCpuFlags(cpuinfo) });
const iceLake =
  'processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu avx2 avx512f avx512_vnni\n\nprocessor\t: 1\nflags\t\t: fpu avx2 avx512f avx512_vnni\n';
const rome = 'processor\t: 0\nmodel name\t: AMD EPYC 7R32 avx512_vnni in the name only\nflags\t\t: fpu sse4_1 avx2\n';
const graviton = 'processor\t: 0\nBogoMIPS\t: 2100.00\nFeatures\t: fp asimd asimddp\n';

describe('onnx/quantize/cpu', () => {
  it('reads the flags of x86 and ARM', () => {
    assert.deepEqual([...parseCpuFlags(iceLake)], ['fpu', 'avx2', 'avx512f', 'avx512_vnni']);
    assert.deepEqual([...parseCpuFlags(graviton)], ['fp', 'asimd', 'asimddp']);
    assert.deepEqual([...parseCpuFlags('')], []);
  });

  it('wants 7 bits on x64 without VNNI, and where it does not know', () => {
    assert.equal(needsReducedRange(cpu('x64', iceLake)), false);
    assert.equal(needsReducedRange(cpu('x64', 'flags : avx2 avx_vnni\n')), false);
    assert.equal(needsReducedRange(cpu('x64', rome)), true);
    assert.equal(needsReducedRange(cpu('x64', '')), true);
    assert.equal(needsReducedRange(cpu('arm64', graviton)), false);
  });

  it('trusts a flag only when every core has it', () => {
    assert.equal(hasVnni(cpu('x64', `${iceLake}\nprocessor\t: 2\nflags\t\t: fpu avx2\n`)), false);
  });

  it('reads this machine, and knows nothing where there is no such file', async () => {
    assert.equal((await readCpuFeatures()).architecture, process.arch);
    assert.equal((await readCpuFeatures('/proc/no-such-file')).flags.size, 0);
  });
});
