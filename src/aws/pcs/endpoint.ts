import { failureTypes } from '../../contracts/failures.ts';

/** Settings that lead to no address. */
export class InvalidPcsEndpoint extends Error {
  override readonly name = 'InvalidPcsEndpoint';
  readonly type = failureTypes.invalidInput;
}

export interface EndpointSettings {
  /** In place of AWS: `http://127.0.0.1:4566`. */
  endpoint?: string;
  useFipsEndpoint?: boolean;
  useDualstackEndpoint?: boolean;
}

interface Partition {
  id: string;
  region: RegExp;
  dnsSuffix: string;
  dualStackDnsSuffix: string;
}

/** The SDKs' partitions.json; all of these have FIPS and dual stack. Regions that match none are in the first. */
const partitions: readonly [Partition, ...Partition[]] = [
  partition('aws', '(us|eu|ap|sa|ca|me|af|il|mx)', 'amazonaws.com', 'api.aws'),
  partition('aws-cn', 'cn', 'amazonaws.com.cn', 'api.amazonwebservices.com.cn'),
  partition('aws-eusc', 'eusc-(de)', 'amazonaws.eu', 'api.amazonwebservices.eu'),
  partition('aws-iso', 'us-iso', 'c2s.ic.gov', 'api.aws.ic.gov'),
  partition('aws-iso-b', 'us-isob', 'sc2s.sgov.gov', 'api.aws.scloud'),
  partition('aws-iso-e', 'eu-isoe', 'cloud.adc-e.uk', 'api.cloud-aws.adc-e.uk'),
  partition('aws-iso-f', 'us-isof', 'csp.hci.ic.gov', 'api.aws.hci.ic.gov'),
  partition('aws-us-gov', 'us-gov', 'amazonaws.com', 'api.aws'),
];

function partition(id: string, prefix: string, dnsSuffix: string, dualStackDnsSuffix: string): Partition {
  return { id, region: new RegExp(`^${prefix}-\\w+-\\d+$`), dnsSuffix, dualStackDnsSuffix };
}

/**
 * Where PCS of a region is, by the rules of its endpoint rule set. Pure.
 * @throws InvalidPcsEndpoint for a region that is no host label, or an own endpoint together with FIPS or dual stack
 */
export function pcsEndpoint(region: string, settings: EndpointSettings = {}): URL {
  const { endpoint, useFipsEndpoint = false, useDualstackEndpoint = false } = settings;
  // The region becomes part of a host name: nothing in it may end the name.
  if (!/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(region))
    throw new InvalidPcsEndpoint(`region: ${JSON.stringify(region)} is no region; expected one as eu-central-1`);
  if (endpoint !== undefined) {
    if (useFipsEndpoint) throw new InvalidPcsEndpoint('FIPS and an own endpoint exclude each other');
    if (useDualstackEndpoint) throw new InvalidPcsEndpoint('dual stack and an own endpoint exclude each other');
    return ownEndpoint(endpoint);
  }
  const { dnsSuffix, dualStackDnsSuffix } = partitions.find((each) => each.region.test(region)) ?? partitions[0];
  const host = useFipsEndpoint ? 'pcs-fips' : 'pcs';
  return new URL(`https://${host}.${region}.${useDualstackEndpoint ? dualStackDnsSuffix : dnsSuffix}`);
}

function ownEndpoint(endpoint: string): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash)
    throw new InvalidPcsEndpoint('endpoint: expected http(s)://host[:port][/path], without credentials or a query');
  return url;
}

/**
 * What the environment says of the endpoint (AWS SDKs and Tools Reference Guide: "Service-specific endpoints", "Dual-stack
 * and FIPS endpoints"). Pure: who reads the environment passes it.
 */
export function endpointFromEnvironment(environment: Readonly<Record<string, string | undefined>>): EndpointSettings {
  const isTrue = (name: string) => environment[name]?.toLowerCase() === 'true';
  const endpoint = isTrue('AWS_IGNORE_CONFIGURED_ENDPOINT_URLS')
    ? undefined
    : environment.AWS_ENDPOINT_URL_PCS || environment.AWS_ENDPOINT_URL;
  return {
    ...(endpoint && { endpoint }),
    ...(isTrue('AWS_USE_FIPS_ENDPOINT') && { useFipsEndpoint: true }),
    ...(isTrue('AWS_USE_DUALSTACK_ENDPOINT') && { useDualstackEndpoint: true }),
  };
}
