/** One process among all that ever had its pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat, in clock ticks since boot; where there is no /proc, what `ps -o lstart` says. */
  readonly startTime: string;
  /** Kernel boot id; empty where there is none. */
  readonly bootId: string;
}

/** Who has this pid now; undefined when nobody, or only a zombie, has it. */
export function identify(pid: number): ProcessIdentity | undefined;

/** Whether this very process, and not another that got its pid later, still runs. */
export function isAlive(identity: ProcessIdentity): boolean;

/** Process group and session by /proc; undefined when the process is gone or there is no /proc. */
export function sessionAndGroup(pid: number): { group: number; session: number } | undefined;
