import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface TrainerStart {
  job: string;
  pid: number;
  atMs: number;
  /** Files in the checkpoints folder when it started. */
  checkpoints: number;
}

/** What the trainers of one loop folder noted, oldest first (programs/note-start.mjs). */
export async function readStarts(folder: string): Promise<TrainerStart[]> {
  const text = await readFile(join(folder, 'starts.jsonl'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TrainerStart);
}
