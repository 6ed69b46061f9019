import { readFile } from 'node:fs/promises';
import type { SlurmTarget } from '../../contracts/slurm-target.ts';
import type { SecretSource } from '../secrets.ts';
import { createCommandLineTransport } from './cli/transport.ts';
import { createRestTransport } from './rest/transport.ts';
import type { SlurmTransport } from './transport.ts';

/** The transport that a target names. @param environment what Slurm's commands may see of the worker's own */
export function openTransport(
  { transport }: SlurmTarget,
  secrets: SecretSource,
  environment: Readonly<Record<string, string>>,
): SlurmTransport {
  if (transport.kind === 'cli') {
    const { commands, conf } = transport;
    return createCommandLineTransport({
      environment,
      ...(commands !== undefined && { commands }),
      ...(conf !== undefined && { conf }),
    });
  }
  const { url, user, key, version } = transport;
  return createRestTransport({
    url,
    user,
    key: async () =>
      'file' in key ? await readFile(key.file) : Buffer.from(await secrets.resolve(key.secret), 'base64'),
    ...(version !== undefined && { version }),
  });
}
