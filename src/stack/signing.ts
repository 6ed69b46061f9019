import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import { SigningFile } from '../contracts/signing.ts';
import { InvalidSigning } from '../store/signing/errors.ts';
import { signingKey, trustedKey } from '../store/signing/keys.ts';
import type { SigningRules } from '../store/signing/registry.ts';
import { type Environment, inheritedEnvironment } from './environment.ts';
import { localSecrets } from './secrets.ts';

/** What the file that GOTO3_SIGNING names says; undefined without one. @throws InvalidSigning that names file and field */
export async function readSigning({ signingFile, home }: Environment): Promise<SigningRules | undefined> {
  const text = await readFile(signingFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const document = parseDocument(text, { version: '1.2', schema: 'core', prettyErrors: true, logLevel: 'error' });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem) throw new InvalidSigning(`${signingFile}: ${problem.message}`);
  const parsed = SigningFile.safeParse(document.toJS({ maxAliasCount: 0 }) ?? {});
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new InvalidSigning(`${signingFile}, ${issue!.path.join('.') || 'whole file'}: ${issue!.message}`);
  }
  const { required, trusted, signWith } = parsed.data.signing;
  const keys = trusted.map(async (path) => await readTrustedKey(resolve(dirname(signingFile), path)));
  const secrets = localSecrets(home, inheritedEnvironment());
  return {
    required,
    trusted: await Promise.all(keys),
    ...(signWith && {
      signWith: async () => signingKey(await secrets.resolve(signWith.secret), `secret "${signWith.secret}"`),
    }),
  };
}

/** @throws InvalidSigning */
export async function readTrustedKey(path: string): Promise<ReturnType<typeof trustedKey>> {
  const pem = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new InvalidSigning(`key ${path}: cannot be read (${error.code})`);
  });
  return trustedKey(pem, `key ${path}`);
}
