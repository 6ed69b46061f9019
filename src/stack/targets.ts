import { readFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { SageMakerTargets } from '../contracts/sagemaker-target.ts';
import { SlurmTargets } from '../contracts/slurm-target.ts';

/** Where jobs can run besides this machine: `targets.yaml`. */
const Targets = z.strictObject({ slurm: SlurmTargets.default({}), sagemaker: SageMakerTargets.default({}) });
export type Targets = z.output<typeof Targets>;

/** The file cannot be used; the message names it and the field. */
export class InvalidTargets extends Error {
  override readonly name = 'InvalidTargets';
}

/**
 * Reads the file that GOTO3_TARGETS names; no such file is no targets. `goto3.yaml#staging` is what that environment has
 * under `targets`. Throws `InvalidTargets`.
 */
export async function readTargets(file: string): Promise<Targets> {
  const [, path, environment] = /^(.*?\.ya?ml)(?:#([^/#]+))?$/.exec(file) ?? [undefined, file];
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { slurm: {}, sagemaker: {} };
    throw error;
  }
  const document = parseDocument(text, { version: '1.2', schema: 'core', prettyErrors: true, logLevel: 'error' });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem) throw new InvalidTargets(`${path}: ${problem.message}`);
  const where = environment === undefined ? [] : ['environments', environment, 'targets'];
  const written = (document.toJS({ maxAliasCount: 0 }) as unknown) ?? {};
  const parsed = Targets.safeParse(
    where.reduce<unknown>((at, step) => (at as Record<string, unknown> | undefined)?.[step], written),
  );
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw new InvalidTargets(`${path}, ${issue.path.join('.') || 'whole file'}: ${issue.message}`);
}
