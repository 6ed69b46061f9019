/**
 * What the supervisor should do next, decided from what is wanted and what is seen, and from nothing else: no clocks, no
 * processes, no files (supervisor.ts has those).
 */
export interface Desired {
  readonly name: string;
  readonly specHash: string;
  readonly after: readonly string[];
}

export interface Observed {
  readonly name: string;
  readonly specHash: string;
  readonly stopWave: number;
  readonly graceMs: number;
  readonly alive: boolean;
  /** This supervisor started it or has taken it over. */
  readonly supervised: boolean;
  /** It has answered its readiness probe since its start. */
  readonly ready: boolean;
  readonly stopRequestedAtMs: number | undefined;
  readonly killed: boolean;
  /** Deaths in a row that nobody asked for. */
  readonly deaths: number;
  readonly lastDeathAtMs: number | undefined;
}

export type StopReason = 'shutdown' | 'replaced' | 'unwanted';
export type Action =
  | { readonly kind: 'start' | 'adopt' | 'kill' | 'forget'; readonly name: string }
  | { readonly kind: 'stop'; readonly name: string; readonly why: StopReason };

export interface Situation {
  readonly desired: readonly Desired[];
  readonly observed: readonly Observed[];
  readonly mode: 'run' | 'stop';
  readonly nowMs: number;
}

const firstBackoffMs = 500;
const longestBackoffMs = 10_000;

/** 0.5 s, 1 s, 2 s … 10 s. */
export function backoffMs(deaths: number): number {
  return deaths <= 0 ? 0 : Math.min(longestBackoffMs, firstBackoffMs * 2 ** (deaths - 1));
}

export function reconcile(situation: Situation): Action[] {
  return situation.mode === 'stop' ? shutDown(situation) : keepRunning(situation);
}

function keepRunning({ desired, observed, nowMs }: Situation): Action[] {
  const byName = new Map(observed.map((child) => [child.name, child]));
  const wanted = new Map(desired.map((spec) => [spec.name, spec]));
  const isReady = (name: string): boolean => {
    const child = byName.get(name);
    return child?.alive === true && child.ready;
  };

  const actions: Action[] = [];
  for (const child of observed) {
    const spec = wanted.get(child.name);
    if (!child.alive) {
      if (!spec) actions.push({ kind: 'forget', name: child.name });
    } else if (child.stopRequestedAtMs !== undefined) actions.push(...killWhenOverdue(child, nowMs));
    else if (!spec) actions.push({ kind: 'stop', name: child.name, why: 'unwanted' });
    else if (child.specHash !== spec.specHash) actions.push({ kind: 'stop', name: child.name, why: 'replaced' });
    else if (!child.supervised) actions.push({ kind: 'adopt', name: child.name });
  }
  for (const spec of desired) {
    const child = byName.get(spec.name);
    if (child?.alive) continue;
    const resting = child?.lastDeathAtMs !== undefined && nowMs < child.lastDeathAtMs + backoffMs(child.deaths);
    if (!resting && spec.after.every(isReady)) actions.push({ kind: 'start', name: spec.name });
  }
  return actions;
}

/** Wave by wave; a wave is asked when all before it are gone. */
function shutDown({ observed, nowMs }: Situation): Action[] {
  const living = observed.filter((child) => child.alive);
  const wave = Math.min(...living.map((child) => child.stopWave));
  return [
    ...observed.filter((child) => !child.alive).map((child): Action => ({ kind: 'forget', name: child.name })),
    ...living
      .filter((child) => child.stopWave === wave)
      .flatMap((child): Action[] =>
        child.stopRequestedAtMs === undefined
          ? [{ kind: 'stop', name: child.name, why: 'shutdown' }]
          : killWhenOverdue(child, nowMs),
      ),
  ];
}

function killWhenOverdue(child: Observed, nowMs: number): Action[] {
  const overdue = nowMs >= (child.stopRequestedAtMs ?? nowMs) + child.graceMs;
  return overdue && !child.killed ? [{ kind: 'kill', name: child.name }] : [];
}
