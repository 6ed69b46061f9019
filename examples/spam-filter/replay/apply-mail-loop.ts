import { fileURLToPath } from 'node:url';
import { applyLoop } from '../../../src/client/apply.ts';
import type { Goto3 } from '../../../src/client/connect.ts';
import { checkLoop, readLoopFile } from '../../../src/client/loop-file.ts';
import type { LoopSpec } from '../../../src/contracts/loop-spec.ts';

export const loopFile = fileURLToPath(new URL('../loop.yaml', import.meta.url));

/** Applies `loop.yaml` as it is, except that its feed reads the replay's clock. */
export async function applyMailLoop(goto3: Goto3, clockFile: string, by: string): Promise<LoopSpec> {
  const { file, folder } = await readLoopFile(loopFile);
  const data = file.data as Record<string, unknown>;
  const replayed = { ...file, data: { ...data, env: { ...(data.env as object), MAIL_CLOCK: clockFile } } };
  const spec = checkLoop(loopFile, replayed);
  await applyLoop(goto3, { file: replayed, spec, folder }, { by, reason: 'replay of the mail of 2002' });
  return spec;
}
