import { fromIni, fromNodeProviderChain } from '@aws-sdk/credential-providers';
import type { AwsCredentialIdentity } from '@smithy/types';

/** Credentials that can be asked for anew. */
export interface RenewableCredentials {
  provide: () => Promise<AwsCredentialIdentity>;
  /** What was provided is no good any more: the next one is fetched afresh. */
  renew: () => void;
}

/** Asked for anew so long before the end, so that no request is under way when it comes. */
const earlyMs = 5 * 60_000;

/**
 * The SDK's chain (environment, profile, web identity, container, instance; docs.aws.amazon.com/sdkref, "Standardized
 * credential providers"), kept until shortly before its end. Clients of the SDK keep what has no end for ever; a file that
 * somebody else renews has none, so `renew`, after AWS called it expired, reads everything again.
 */
export function chainCredentials(profile?: string): RenewableCredentials {
  return renewable(() =>
    profile === undefined ? fromNodeProviderChain({ ignoreCache: true }) : fromIni({ profile, ignoreCache: true }),
  );
}

/** @param chain builds a provider that holds nothing from before */
export function renewable(chain: () => () => Promise<AwsCredentialIdentity>): RenewableCredentials {
  let held: Promise<AwsCredentialIdentity> | undefined;
  return {
    async provide() {
      const before = held && (await held);
      if (before?.expiration && before.expiration.getTime() - Date.now() < earlyMs) held = undefined;
      held ??= chain()().catch((error: unknown) => {
        held = undefined;
        throw error;
      });
      // A client of the SDK asks again only for what has ended: so it asks here, each time, and `renew` reaches it.
      return { ...(await held), expiration: new Date() };
    },
    renew() {
      held = undefined;
    },
  };
}
