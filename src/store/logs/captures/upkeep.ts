import type { CaptureUpkeep } from '../../upkeep.ts';
import type { LogMedium } from '../files.ts';
import type { CaptureLogs } from './log.ts';
import { packSegments } from './packing.ts';
import { dropOlder } from './retention.ts';

/** Packing and dropping, for all replicas of an endpoint. */
export function captureUpkeep(medium: LogMedium, log: CaptureLogs, now: () => Date): CaptureUpkeep {
  return {
    endpoints: () => log.endpoints(),
    async pack(endpoint, replica) {
      const total = { segments: 0, packs: 0 };
      for (const name of replica === undefined ? await log.replicas(endpoint) : [replica]) {
        const packed = await packSegments(medium, log.logOf(endpoint, name), now());
        total.segments += packed.segments;
        total.packs += packed.packs;
      }
      return total;
    },
    async dropOlder(endpoint, options) {
      const total = { packs: 0, replicas: 0, bytes: 0 };
      for (const name of await log.replicas(endpoint)) {
        const dropped = await dropOlder(medium.files, log.logOf(endpoint, name), options);
        total.packs += dropped.packs;
        total.replicas += dropped.replicas;
        total.bytes += dropped.bytes;
      }
      return total;
    },
  };
}
