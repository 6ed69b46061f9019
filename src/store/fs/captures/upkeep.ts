import type { CaptureUpkeep } from '../../upkeep.ts';
import type { FsOps } from '../fs-ops.ts';
import type { Staging } from '../staging.ts';
import type { FsCaptureLog } from './log.ts';
import { packSegments } from './packing.ts';
import { dropOlder } from './retention.ts';

/** Packing and dropping, for all replicas of an endpoint. */
export function captureUpkeep(ops: FsOps, staging: Staging, log: FsCaptureLog, now: () => Date): CaptureUpkeep {
  return {
    endpoints: () => log.endpoints(),
    async pack(endpoint, replica) {
      const total = { segments: 0, packs: 0 };
      for (const name of replica === undefined ? await log.replicas(endpoint) : [replica]) {
        const packed = await packSegments(ops, staging, log.logOf(endpoint, name), now());
        total.segments += packed.segments;
        total.packs += packed.packs;
      }
      return total;
    },
    async dropOlder(endpoint, options) {
      const total = { packs: 0, replicas: 0, bytes: 0 };
      for (const name of await log.replicas(endpoint)) {
        const dropped = await dropOlder(ops, log.logOf(endpoint, name), options);
        total.packs += dropped.packs;
        total.replicas += dropped.replicas;
        total.bytes += dropped.bytes;
      }
      return total;
    },
  };
}
