import type { JobSpec } from '../contracts/job.ts';

/** Where the values of `{secret: name}` come from: files, a cloud's secret manager, the operator's environment. */
export interface SecretSource {
  /** Throws when there is no such secret; the error names it and never shows a value. */
  resolve(name: string): Promise<string>;
}

/** The values of a spec's secrets by environment name. They may go into the program's environment and nowhere else. */
export async function resolveSecrets(
  environment: JobSpec['environment'],
  source: SecretSource,
): Promise<Record<string, string>> {
  const resolved = await Promise.all(
    Object.entries(environment).flatMap(([name, value]) =>
      typeof value === 'string' ? [] : [source.resolve(value.secret).then((text) => [name, text] as const)],
    ),
  );
  return Object.fromEntries(resolved);
}
