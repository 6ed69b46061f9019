import { refNames } from '../../../src/contracts/names.ts';
import type { Ref } from '../../../src/store/types.ts';
import type { Acknowledged, Evidence, Invariant } from './evidence.ts';

/** The loops that the refs know. */
const loopsOf = (refs: Evidence['refs']): string[] => [
  ...new Set(Object.keys(refs).flatMap((name) => /^loops\/([^/]+)\//.exec(name)?.[1] ?? [])),
];

/** I1: what was acknowledged is in the store, or it would be lost with the server. */
export const acknowledgedCommandsHold: Invariant = (evidence) =>
  evidence.commands.flatMap((command) => whyLost(command, evidence) ?? []);

function whyLost(command: Acknowledged, { refs, manifests }: Evidence): string | undefined {
  const { loop } = command;
  if (command.kind === 'retrain')
    return (refs[refNames.cycles(loop)] ?? []).some(({ entry }) => entry === command.cycle)
      ? undefined
      : `retrain of ${loop} was answered with cycle ${command.cycle}, which was never opened`;
  if (command.kind === 'apply')
    return (refs[refNames.loopSpec(loop)] ?? []).some(({ digest }) => digest === command.specDigest)
      ? undefined
      : `apply of ${loop} was answered with spec ${command.specDigest}, which the store does not have`;
  const newest = (refs[refNames.dataset(loop)] ?? []).at(-1);
  const dataset = newest && manifests[newest.digest];
  const rows = dataset?.kind === 'Dataset' ? dataset.rowCount : 0;
  return rows >= command.rows ? undefined : `${command.rows} rows were delivered to ${loop}, its dataset has ${rows}`;
}

/** I6: a ref is a log: numbered without holes, every operation once, times that never go back. */
export const refsAreLogs: Invariant = ({ refs }) =>
  Object.entries(refs).flatMap(([name, log]) => {
    const problems: string[] = [];
    const operations = new Map<string, number>();
    for (const [i, { entry, operation, time }] of log.entries()) {
      if (entry !== i + 1) problems.push(`ref ${name}: entry ${entry} stands at place ${i + 1}`);
      const before = operations.get(operation);
      if (before !== undefined)
        problems.push(`ref ${name}: entries ${before} and ${entry} have the same operation "${operation}"`);
      operations.set(operation, entry);
      if (i > 0 && time < log[i - 1]!.time) problems.push(`ref ${name}: entry ${entry} is older than the one before`);
    }
    return problems;
  });

/** I6: a cycle is reported once, after it was opened; it makes one version at most. */
export const cyclesAreNumberedOnce: Invariant = ({ refs, manifests }) =>
  loopsOf(refs).flatMap((loop) => {
    const problems: string[] = [];
    const opened = new Set((refs[refNames.cycles(loop)] ?? []).map(({ entry }) => entry));
    const reported = new Set<number>();
    for (const { digest, entry } of refs[refNames.reports(loop)] ?? []) {
      const report = manifests[digest];
      if (report?.kind !== 'CycleReport') {
        problems.push(`report ${entry} of ${loop} points to ${digest}, which is no report`);
        continue;
      }
      if (!opened.has(report.cycle)) problems.push(`cycle ${loop}/${report.cycle} has a report and was never opened`);
      if (reported.has(report.cycle)) problems.push(`cycle ${loop}/${report.cycle} has two reports`);
      reported.add(report.cycle);
    }
    return problems;
  });

/** I6: every version has a verdict, a run, a dataset, and is the only one of its cycle; a champion is a version. */
export const versionsHaveLineage: Invariant = ({ refs, manifests }) =>
  Object.entries(refs).flatMap(([name, log]) => {
    const model = /^models\/([^/]+)\/(versions|champion)$/.exec(name);
    if (!model) return [];
    if (model[2] === 'champion') {
      const versions = new Set((refs[refNames.versions(model[1]!)] ?? []).map(({ digest }) => digest));
      return log.filter(({ digest }) => !versions.has(digest)).map((ref) => `${at(ref)}: the champion is no version`);
    }
    const madeBy = new Map<string, Ref>();
    return log.flatMap((ref) => {
      const manifest = manifests[ref.digest];
      if (manifest?.kind !== 'Model') return [`${at(ref)}: ${ref.digest} is no model`];
      const problems: string[] = [];
      const cycle = `${manifest.loop}/${manifest.cycle}`;
      const other = madeBy.get(cycle);
      if (other) problems.push(`${at(ref)}: cycle ${cycle} made version ${other.entry} already`);
      madeBy.set(cycle, ref);
      if (!manifests[manifest.run]) problems.push(`${at(ref)}: its run ${manifest.run} is not in the store`);
      if (!manifests[manifest.dataset])
        problems.push(`${at(ref)}: its dataset ${manifest.dataset} is not in the store`);
      return problems;
    });
  });

/** I7: bytes are what their name says, logs are chained, nothing is half written. */
export const storeIsSound: Invariant = ({ storeProblems }) => storeProblems;

/** I13: every verdict comes out again from what it lists. */
export const verdictsReplay: Invariant = ({ verdictsThatDiffer }) =>
  verdictsThatDiffer.map((digest) => `verdict ${digest} does not come out again from its inputs`);

/** I9 */
export const secretStaysSecret: Invariant = ({ secretIn }) =>
  secretIn.map((place) => `the planted secret is in ${place}`);

const at = ({ name, entry }: Ref): string => `ref ${name} entry ${entry}`;
