import type { Fields, Resource } from './resource.ts';

/**
 * Slurm's settings of a cluster after a request. An update changes what it names (API_UpdateClusterSlurmConfigurationRequest).
 * Accounting and the REST API are off unless asked for (API_AccountingRequest, API_SlurmRestRequest: default NONE). Keys are
 * in Secrets Manager (API_SlurmAuthKey, API_JwtKey); the names of the secrets are assumed.
 */
export function slurmConfiguration(
  before: Fields,
  change: Fields,
  of: { clusterId: string; region: string; account: string },
): Fields {
  const secret = (kind: string) => ({
    secretArn: `arn:aws:secretsmanager:${of.region}:${of.account}:secret:pcs!${kind}-${of.clusterId}`,
    secretVersion: '1',
  });
  const merged = (name: string): Fields => ({
    mode: 'NONE',
    ...(before[name] as Fields | undefined),
    ...(change[name] as Fields | undefined),
  });
  const { jwtAuth: _, ...kept } = before;
  const slurmRest = merged('slurmRest');
  return {
    ...kept,
    ...change,
    accounting: merged('accounting'),
    slurmRest,
    authKey: secret('slurm-secret'),
    ...(slurmRest.mode === 'STANDARD' && { jwtAuth: { jwtKey: secret('slurm-jwt') } }),
  };
}

/** API_Endpoint. There are endpoints once the controller is made (assumed); 6817, 6819 and 6820 are Slurm's own ports. */
export function fullCluster(resource: Resource): Fields {
  const full = resource.full();
  if (resource.status === 'CREATING' || resource.status === 'CREATE_FAILED') return full;
  const { accounting, slurmRest } = full.slurmConfiguration as Record<string, Fields>;
  const endpoint = (type: string, port: string) => ({ type, privateIpAddress: '10.3.0.10', port });
  const endpoints = [
    endpoint('SLURMCTLD', '6817'),
    ...(accounting?.mode === 'STANDARD' ? [endpoint('SLURMDBD', '6819')] : []),
    ...(slurmRest?.mode === 'STANDARD' ? [endpoint('SLURMRESTD', '6820')] : []),
  ];
  return { ...full, endpoints };
}
