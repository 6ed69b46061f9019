import { fileURLToPath } from 'node:url';
import { applyLoop } from '../../../src/client/apply.ts';
import type { Goto3 } from '../../../src/client/connect.ts';
import { checkLoop, readLoopFile } from '../../../src/client/loop-file.ts';
import type { LoopSpec } from '../../../src/contracts/loop-spec.ts';

export const loopFile = fileURLToPath(new URL('../loop.yaml', import.meta.url));

/** What differs from a loop of today: its surroundings, and for an incident its training program. */
export interface ReplayedLoop {
  /** The feed's environment: where it reads the data's clock, and whose labels are swapped. */
  feed: Readonly<Record<string, string>>;
  train?: { program: string[]; env: Record<string, string>; hyperparameters: Record<string, number> };
}

/** Applies `loop.yaml` as it is, except for what the replay has to know of. */
export async function applyMailLoop(goto3: Goto3, { feed, train }: ReplayedLoop, by: string): Promise<LoopSpec> {
  const { file, folder } = await readLoopFile(loopFile);
  const { data, train: asWritten } = file as { data: { env?: object }; train: object };
  const replayed = {
    ...file,
    data: { ...data, env: { ...data.env, ...feed } },
    train: { ...asWritten, ...train },
  };
  const spec = checkLoop(loopFile, replayed);
  await applyLoop(goto3, { file: replayed, spec, folder }, { by, reason: 'replay of the mail of 2002' });
  return spec;
}
