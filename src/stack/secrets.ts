import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isName } from '../contracts/names.ts';
import type { SecretSource } from '../jobs/secrets.ts';
import { InvalidInput } from '../store/errors.ts';

/**
 * `{ secret: name }` on a laptop: the file `<home>/secrets/<name>` (GOTO3_SECRETS names another folder), or the variable `GOTO3_SECRET_<NAME>` (dashes and dots
 * become `_`). Values are read where they are used. `InvalidInput` names the secret and where it was looked for: only a
 * person can repair that, so nothing should hang on it.
 */
export function localSecrets(home: string, environment: Readonly<Record<string, string | undefined>>): SecretSource {
  return {
    async resolve(name) {
      if (!isName(name))
        throw new InvalidInput(`secret ${JSON.stringify(name)}: expected lower-case letters, digits, ".", "_" and "-"`);
      const variable = `GOTO3_SECRET_${name.toUpperCase().replaceAll(/[.-]/g, '_')}`;
      const fromEnvironment = environment[variable];
      if (fromEnvironment) return fromEnvironment;
      const file = join(environment.GOTO3_SECRETS || join(home, 'secrets'), name);
      return await readFile(file, 'utf8').then(
        (text) => text.trimEnd(),
        () => {
          throw new InvalidInput(`secret "${name}" is not set: write it to ${file} or to ${variable}`);
        },
      );
    },
  };
}
