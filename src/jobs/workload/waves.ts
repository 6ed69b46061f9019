/** What waves are cut from: jobs and the jobs that they need. */
export type Needs = Readonly<Record<string, readonly string[]>>;

export interface Wave {
  jobs: string[];
  /** Numbers of earlier waves that hold something it needs. */
  needs: number[];
}

/** Children of one workflow at a time (Temporal: "no more than 1,000", and each costs about 15 events). */
export const maxWaveJobs = 200;

/** Jobs by depth: 0 for those that need nothing. Expects no circle. Linear. Pure. */
export function levelsOf(needs: Needs): Map<string, number> {
  const levels = new Map<string, number>();
  const waiting = new Map(Object.entries(needs).map(([name, needed]) => [name, needed.length]));
  const followers = new Map<string, string[]>();
  for (const [name, needed] of Object.entries(needs))
    for (const other of needed) followers.set(other, [...(followers.get(other) ?? []), name]);
  let ready = [...waiting].filter(([, count]) => count === 0).map(([name]) => name);
  for (let level = 0; ready.length > 0; level += 1) {
    const next: string[] = [];
    for (const name of ready) {
      levels.set(name, level);
      for (const follower of followers.get(name) ?? []) {
        const left = waiting.get(follower)! - 1;
        waiting.set(follower, left);
        if (left === 0) next.push(follower);
      }
    }
    ready = next;
  }
  return levels;
}

/**
 * Cuts a DAG into waves of at most `max` jobs. Jobs that belong together stay in one wave where they fit, so a job starts as
 * soon as what it needs has ended; only a part that is larger than a wave is cut, by depth. Pure.
 */
export function cutIntoWaves(needs: Needs, max: number = maxWaveJobs): Wave[] {
  const levels = levelsOf(needs);
  const waves: string[][] = [];
  let open: string[] = [];
  for (const part of partsOf(needs)) {
    if (part.length > max) {
      const sorted = [...part].sort((a, b) => levels.get(a)! - levels.get(b)!);
      for (let i = 0; i < sorted.length; i += max) waves.push(sorted.slice(i, i + max));
      continue;
    }
    if (open.length + part.length > max) {
      waves.push(open);
      open = [];
    }
    open.push(...part);
  }
  if (open.length > 0) waves.push(open);
  const waveOf = new Map(waves.flatMap((jobs, n) => jobs.map((name) => [name, n] as const)));
  return waves.map((jobs, n) => ({
    jobs,
    needs: [...new Set(jobs.flatMap((name) => needs[name]!.map((other) => waveOf.get(other)!)))]
      .filter((other) => other !== n)
      .sort((a, b) => a - b),
  }));
}

/** Jobs that hang together by needs, in the order of the file. */
function partsOf(needs: Needs): string[][] {
  const neighbours = new Map<string, string[]>(Object.keys(needs).map((name) => [name, []]));
  for (const [name, needed] of Object.entries(needs))
    for (const other of needed) {
      neighbours.get(name)!.push(other);
      neighbours.get(other)!.push(name);
    }
  const seen = new Set<string>();
  const parts: string[][] = [];
  for (const start of neighbours.keys()) {
    if (seen.has(start)) continue;
    const part: string[] = [];
    const stack = [start];
    seen.add(start);
    while (stack.length > 0) {
      const name = stack.pop()!;
      part.push(name);
      for (const next of neighbours.get(name)!)
        if (!seen.has(next)) {
          seen.add(next);
          stack.push(next);
        }
    }
    parts.push(part);
  }
  return parts;
}
