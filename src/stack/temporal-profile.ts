import { createRequire } from 'node:module';
import type { ClientConnectConfig } from '@temporalio/envconfig';

/** What a connection needs beyond its address: TLS, API key, gRPC headers. */
export type TemporalConnection = Pick<ClientConnectConfig['connectionOptions'], 'tls' | 'apiKey' | 'metadata'>;

export interface TemporalProfile {
  /** host:port; undefined: the embedded server. */
  address: string | undefined;
  namespace: string | undefined;
  connection: TemporalConnection;
}

/**
 * Where Temporal is, as the `temporal` command itself would find it: TEMPORAL_* variables over the profile of
 * TEMPORAL_PROFILE in TEMPORAL_CONFIG_FILE or in the usual place. A file that nobody pointed at is not read: whoever has a
 * default profile for something else still gets the stack of this folder. @throws Error of envconfig that names the profile
 */
export function temporalProfile(variables: Readonly<Record<string, string | undefined>>): TemporalProfile {
  const given = Object.entries(variables).filter(
    (entry): entry is [string, string] => entry[0].startsWith('TEMPORAL_') && !!entry[1],
  );
  const names = new Set(given.map(([name]) => name));
  const pointsAtFile = names.has('TEMPORAL_PROFILE') || names.has('TEMPORAL_CONFIG_FILE');
  if (!pointsAtFile && !names.has('TEMPORAL_ADDRESS'))
    return { address: undefined, namespace: variables.TEMPORAL_NAMESPACE || undefined, connection: {} };
  // Loaded when needed: every command starts with this module, and few have such a profile.
  const { loadClientConnectConfig } = createRequire(import.meta.url)(
    '@temporalio/envconfig',
  ) as typeof import('@temporalio/envconfig');
  const { connectionOptions, namespace } = loadClientConnectConfig({
    // HOME is where the usual place is.
    overrideEnvVars: { ...(variables.HOME && { HOME: variables.HOME }), ...Object.fromEntries(given) },
    ...(variables.TEMPORAL_PROFILE && { profile: variables.TEMPORAL_PROFILE }),
    disableFile: !pointsAtFile,
  });
  const { address, tls, apiKey, metadata } = connectionOptions;
  const connection = { ...(tls && { tls }), ...(apiKey && { apiKey }), ...(metadata && { metadata }) };
  return { address, namespace, connection };
}
