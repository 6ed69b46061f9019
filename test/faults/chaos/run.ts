import { createRandom } from '../../../src/stats/random.ts';
import { violations } from '../checker/check.ts';
import { collectEvidence } from '../checker/collect.ts';
import { faults, type Pick } from './faults.ts';
import { ChaosWorld } from './world.ts';

export interface ChaosOptions {
  seed: number;
  /** Faults come for so long, or so many of them; then the loops get time to rest. */
  until: { ms: number } | { faults: number };
  /** Names of the faults to choose among; all by default. */
  among?: readonly string[];
  restWithinMs?: number;
  say?: (line: string) => void;
}

export interface ChaosResult {
  seed: number;
  /** What happened, in order. */
  happened: string[];
  cycles: number;
  requests: number;
  violations: string[];
}

/**
 * A stack at work, and one fault after the other, chosen by the seed; at the end every loop must come to rest and the
 * checker is asked. The same seed chooses the same faults; when they meet the work is the machine's affair.
 */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, until, among = Object.keys(faults), restWithinMs = 180_000, say = () => {} } = options;
  const random = createRandom(seed);
  const pick: Pick = (from) => from[Math.floor(random.uniform() * from.length)]!;
  const world = await ChaosWorld.open();
  const happened: string[] = [];
  try {
    const from = Date.now();
    const goesOn = (): boolean => ('ms' in until ? Date.now() - from < until.ms : happened.length < until.faults);
    for (let number = 0; goesOn(); number += 1) {
      const [name, thenMs] = [pick(among), 500 + random.uniform() * 5_000];
      const what = await faults[name]!(world, pick, number);
      if (what !== undefined) happened.push(what);
      say(what ?? `${name}: nothing to harm`);
      await new Promise((resolve) => setTimeout(resolve, thenMs));
    }
    world.disarm();
    await world.rests(restWithinMs);
    const evidence = await collectEvidence(world.stack);
    return {
      ...{ seed, happened, violations: violations(evidence) },
      cycles: Object.values(evidence.manifests).filter(({ kind }) => kind === 'CycleReport').length,
      requests: evidence.requests.mail?.length ?? 0,
    };
  } finally {
    await world.close();
  }
}
