import type { CycleReport } from '../contracts/manifests.ts';
import type { CycleFinished } from '../contracts/messages.ts';

/** A longer one the loop would take for malformed. */
const longestDetail = 4_000;

/** What a report means for the loop: failures count toward its fuse, inconclusive verdicts toward asking a person. */
export const finishedOf = ({ cycle, outcome, detail, gpuHours }: CycleReport): CycleFinished => ({
  n: cycle,
  outcome,
  detail: detail.slice(0, longestDetail) || outcome,
  failed: outcome === 'failed' || outcome === 'rolledBack',
  inconclusive: outcome === 'inconclusive',
  gpuHours,
});
