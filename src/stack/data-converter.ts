import type { DataConverter } from '@temporalio/common';
import { dataConverterOf } from '../codec/data-converter.ts';
import { type Keyring, loadKeyring } from '../codec/keyring.ts';
import { type Environment, inheritedEnvironment } from './environment.ts';
import { localSecrets } from './secrets.ts';

/** The payload keys that GOTO3_CODEC_KEYS names; undefined for none. @throws InvalidCodecKey, InvalidInput */
export async function openKeyring({ codecKeys, home }: Environment): Promise<Keyring | undefined> {
  const secrets = localSecrets(home, inheritedEnvironment());
  return await loadKeyring(codecKeys, (secret) => secrets.resolve(secret));
}

/** How workers and clients of this environment write and read payloads. @throws InvalidCodecKey, InvalidInput */
export const openDataConverter = async (environment: Environment): Promise<DataConverter> =>
  dataConverterOf(await openKeyring(environment), environment.temporalNamespace);
