import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RefConflict } from '../../../src/store/errors.ts';
import { openStore } from '../../../src/store/open.ts';
import type { Ref } from '../../../src/store/types.ts';
import { digestOfDigit, why } from '../samples.ts';

/**
 * `<folder> <process> <writers> <entries> <processes>`: writers that fight for one ref until its log has so many entries.
 * Prints the entries that each was told it had won. The processes begin when all of them are there: on few cores the
 * first one would otherwise be done before the last one has started.
 */
const [folder = '', me = '', writers = '', entries = '', processes = ''] = process.argv.slice(2);
const start = join(folder, 'start');
await mkdir(start, { recursive: true });
await writeFile(join(start, me), '');
const deadline = Date.now() + 30_000;
while ((await readdir(start)).length < Number(processes)) {
  if (Date.now() > deadline) throw new Error('the other processes did not start');
  await new Promise((resolve) => setTimeout(resolve, 5));
}
const store = await openStore(folder, { durability: 'fast' });
const won: Ref[] = [];

async function write(writer: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const newest = await store.refs.read('race/ref');
    if (newest && newest.entry >= Number(entries)) return;
    try {
      const reason = why(`${writer}/${attempt}`, writer);
      won.push(await store.refs.compareAndSet('race/ref', newest, digestOfDigit('1'), reason));
    } catch (error) {
      if (!(error instanceof RefConflict)) throw error;
    }
  }
}

await Promise.all(Array.from({ length: Number(writers) }, (_, i) => write(`${me}-${i}`)));
console.log(JSON.stringify(won));
