import type { Evidence, Invariant } from './evidence.ts';
import * as jobs from './job-invariants.ts';
import * as serving from './serving-invariants.ts';
import * as store from './store-invariants.ts';

/** Every invariant by its name. */
export const invariants: Readonly<Record<string, Invariant>> = { ...store, ...jobs, ...serving };

/** All that is wrong, each with the name of the invariant that it breaks and the counterexample. */
export function violations(evidence: Evidence): string[] {
  return Object.entries(invariants).flatMap(([name, holds]) => holds(evidence).map((what) => `${name}: ${what}`));
}
