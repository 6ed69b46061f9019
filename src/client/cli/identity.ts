import { hostname, userInfo } from 'node:os';

/**
 * Who asks, for the record: what `--by` says, else the account and machine. It is a claim; nothing here proves it
 * (DESIGN §5, People).
 */
export function identity(claimed: string | undefined): string {
  return claimed ?? `${account()}@${hostname()}`;
}

function account(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's user need not have an entry in its passwd file.
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
