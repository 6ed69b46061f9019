import { isName } from './names.ts';
import { workloadIds } from './workload-names.ts';

/** A job as people name it. */
export interface JobKey {
  /** Of its effects: `<loop>/<n>/<step>` or `workload/<workload>/<key>/<job>`; attempts are numbered below it. */
  key: string;
  /** What `goto3 job list` takes: `<loop>`, or `<workload>/<key>`. */
  owner: string;
  attempt?: number;
}

export const jobKeyForms =
  '<loop>/<n>/<step> or <workload>/<key>/<job>, such as spam-filter/3/train or option-pricing/monday/simulate, and /<attempt> after it for one attempt';

/**
 * Reads what a person types. A cycle's number is a number, and the name of a workload's job begins with a letter
 * (workload-spec), so the two are told apart; a workload whose key is a number is written with `workload/` before it.
 * Undefined for anything else. Pure.
 */
export function parseJobKey(text: string): JobKey | undefined {
  const [, path, last] = /^(.+?)(?:\/([1-9]\d{0,8}))?$/.exec(text) ?? [];
  const parts = path?.split('/') ?? [];
  if (!parts.every(isName)) return undefined;
  const attempt = last === undefined ? {} : { attempt: Number(last) };
  const [first, second, third] = parts as [string, string, string];
  if (parts.length === 3 && isNumber(second) && isStep(third)) return { key: path!, owner: first, ...attempt };
  const [workload, key, job, ...rest] = parts.length === 4 && first === 'workload' ? parts.slice(1) : parts;
  if (job === undefined || rest.length > 0 || !isStep(job)) return undefined;
  return { key: workloadIds.job({ workload: workload!, key: key! }, job), owner: `${workload}/${key}`, ...attempt };
}

/** Whether a job of this key belongs to a loop, a workload, or one run of it: `spam-filter`, `option-pricing/monday`. Pure. */
export const isJobOf = (owner: string, key: string): boolean =>
  key.startsWith(`${owner}/`) || key.startsWith(`${workloadPrefix}${owner}/`);

const workloadPrefix = 'workload/';
const isNumber = (part: string): boolean => /^\d+$/.test(part);
const isStep = (part: string): boolean => /^[a-z][a-z0-9-]*$/.test(part);
