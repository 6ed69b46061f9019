import { readFile } from 'node:fs/promises';

/** Lines that the steps of a run left. */
export async function readNotes(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').filter((line) => line !== '');
}

/** Steps that began more than once. */
export function ranTwice(notes: readonly string[]): number {
  const began = notes.filter((line) => line.endsWith(' began'));
  return began.filter((line, i) => began.indexOf(line) === i && began.lastIndexOf(line) !== i).length;
}

/** Waits until a line is there. @throws Error after `withinMs` */
export async function noted(file: string, line: string, withinMs: number): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await readNotes(file)).includes(line)) {
    if (performance.now() > deadline) throw new Error(`no "${line}" in ${file} after ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
