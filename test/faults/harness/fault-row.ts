import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One line of the fault table (docs/reliability.md), as the run measured it. */
export interface FaultRow {
  fault: string;
  /** What showed that it happened. */
  fired: string;
  /** Acknowledged things that were lost: commands, data, evidence; what a client saw fail is in the note. */
  lost: number;
  /** Jobs, cycles, versions and answers that were made a second time. */
  runTwice: number;
  commandsTyped: number;
  /** From the fault, or from the last command that it needed, until what it hit worked again. */
  secondsToContinue: number;
  note?: string;
}

/** Below the folder of the run, like all state that is not kept in git. */
export const rowsFolder = fileURLToPath(new URL('../../../.goto3/faults/', import.meta.url));

export async function keepRow(row: FaultRow): Promise<void> {
  await mkdir(rowsFolder, { recursive: true });
  const file = join(rowsFolder, `${row.fault.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}.json`);
  await writeFile(`${file}.writing`, `${JSON.stringify(row)}\n`);
  await rename(`${file}.writing`, file);
}
