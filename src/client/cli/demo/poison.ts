import { isSwapped, writeSwappedLabels } from '../../../../examples/spam-filter/poison.ts';
import type { ReplayScript } from '../../../../examples/spam-filter/replay/script.ts';
import { count, plural } from '../words.ts';
import { type, typedLine } from './operator.ts';
import type { Stage } from './stage.ts';

/** What became of a cycle whose new labels were all swapped at their source. */
export interface Poisoning {
  cycle: number;
  /** Labels that were swapped, in training and hold-out alike. */
  swapped: number;
  /** Why the cycle held them back; null: it did not. */
  heldBack: string | null;
  /** What the operator had to type. */
  typed: string | null;
}

/** A person who finds the classes swapped leaves the whole batch out. */
export const dropLine = (loop: string, cycle: number): readonly string[] => [
  ...['cycle', 'drop-data', `${loop}/${cycle}`],
  ...['--reason', 'the labeller had the classes swapped'],
];

/** Swaps all labels that are new in one cycle, shows what whoever is on call has to type, and types it for them. */
export function poisonScript(
  cycle: number,
  { home, mails, tell }: Pick<Stage, 'home' | 'mails'> & { tell: (line: string) => void },
): { poisoning: Poisoning; script: ReplayScript } {
  const poisoning: Poisoning = { cycle, swapped: 0, heldBack: null, typed: null };
  const script: ReplayScript = {
    async beforeLabels({ cycle: next, after, until }) {
      if (next !== cycle) return;
      // Weeks of too little mail for a cycle come before it: it takes theirs too.
      poisoning.swapped = mails.filter((mail) => isSwapped(mail, { after, until })).length;
      await writeSwappedLabels(home.poisonFile, { after, until });
      tell(`Poison: ${count(poisoning.swapped)} labels are swapped before cycle ${cycle} sees them.`);
    },
    async operator({ loop, n, waitsFor }) {
      const argv = dropLine(loop, n);
      const line = typedLine(argv);
      tell(`Cycle ${n} has parked: ${inShort(waitsFor)}`);
      tell(`  An operator types:  ${line}`);
      await type(home.layout.home, argv);
      tell('  Typed for you.');
      if (n === cycle) Object.assign(poisoning, { heldBack: inShort(waitsFor), typed: line });
    },
  };
  return { poisoning, script };
}

/** The first of several findings; all are in `cycle show` and in the Web UI. */
export function inShort(findings: string): string {
  const [first = '', ...others] = findings.split('; ');
  return others.length === 0 ? first : `${first} (and ${plural(others.length, 'more finding')})`;
}

/** Why a run with poison was not as it has to be. */
export function poisonProblem({ cycle, swapped, heldBack }: Poisoning): string | undefined {
  if (swapped === 0) return `cycle ${cycle} never began: nothing was poisoned`;
  return heldBack === null
    ? `${swapped} swapped labels went into cycle ${cycle}, and nothing held them back`
    : undefined;
}
