import { accuracy, type Confusion, type WeekFigures } from '../../../../../examples/spam-filter/replay/week-figures.ts';
import { type Output, table } from '../../output.ts';
import { count } from '../../words.ts';
import type { CanaryStep, CycleFigures } from '../cycle-figures.ts';
import type { DemoResult } from '../result.ts';

type Look = Pick<Output, 'paint' | 'width'>;

/** What each cycle decided, and on what. */
export function decisionsTable(cycles: readonly CycleFigures[], look: Look): string {
  return table(
    [
      'cycle',
      'rows',
      'new',
      'verdict',
      'ships',
      'version',
      'outcome',
      'accuracy',
      'champion',
      'canary requests',
      'reason',
    ],
    cycles.map((cycle) => [
      String(cycle.cycle),
      number(cycle.rows),
      number(cycle.newRows),
      cycle.verdict ?? none,
      cycle.precision ?? none,
      number(cycle.version),
      cycle.outcome,
      percent(cycle.accuracy),
      percent(cycle.championAccuracy),
      canary(cycle.canary),
      cycle.reason,
    ]),
    look,
  );
}

/** `25%: 210 of 840 · 50%: 203 of 401, 100% background`: the candidate's of all requests of each step. */
function canary(steps: readonly CanaryStep[]): string {
  if (steps.length === 0) return none;
  const all = steps.reduce((sum, step) => sum + requests(step), 0);
  const background = steps.reduce((sum, step) => sum + step.backgroundShare * requests(step), 0);
  const each = steps.map((step) => `${step.weight}%: ${step.candidateRequests} of ${requests(step)}`).join(' · ');
  return `${each}, ${all === 0 ? 0 : Math.round((100 * background) / all)}% background`;
}

const requests = ({ candidateRequests, currentRequests }: CanaryStep): number => candidateRequests + currentRequests;

const phases = ['data', 'training', 'evaluation', 'quantization', 'rollout', 'orchestration'] as const;

/** Where each cycle's time went, by its own history; the last line is all of them. */
export function timesTable({ cycles, phasesMs, orchestrationShare }: DemoResult, look: Look): string {
  const others = [...new Set(cycles.flatMap((cycle) => Object.keys(cycle.phasesMs)))].filter(
    (phase) => !(phases as readonly string[]).includes(phase),
  );
  const columns = [...phases.slice(0, -1), ...others, 'orchestration'];
  const line = (name: string, ms: Readonly<Record<string, number>>): string[] => [
    name,
    ...columns.map((phase) => seconds(ms[phase] ?? 0)),
    seconds(Object.values(ms).reduce((sum, x) => sum + x, 0)),
  ];
  const total = line('all', phasesMs);
  const shown = table(
    ['cycle', ...columns, 'total'],
    [...cycles.map((cycle) => line(String(cycle.cycle), cycle.phasesMs)), total],
    look,
  );
  return orchestrationShare === null
    ? shown
    : `${shown}\nOrchestration, the time that no step was at work: ${percent(orchestrationShare)} of all cycles.`;
}

/** How each week's mail was answered, before its labels were known. */
export function weeksTable({ weeks, pooled }: Pick<DemoResult, 'weeks' | 'pooled'>, look: Look): string {
  const cells = ({ blocked, missed, ...rest }: Confusion): string[] => [
    String(blocked),
    String(missed),
    percent(accuracy({ blocked, missed, ...rest })),
  ];
  const line = (name: string, week: Omit<WeekFigures, 'start'>): string[] => [
    name,
    count(week.mails),
    count(week.spam),
    ...cells(week.frozen),
    ...cells(week.loop),
    ...cells(week.alwaysHam),
  ];
  const model = (name: string): string[] => [`${name}: blocked`, 'missed', 'accuracy'];
  return table(
    ['week of', 'mails', 'spam', ...model('frozen'), ...model('loop'), ...model('always-ham')],
    [...weeks.map((week) => line(week.start, week)), line('pooled', pooled)],
    look,
  );
}

const none = '–';
const number = (value: number | null): string => (value === null ? none : count(value));
const percent = (share: number | null): string => (share === null ? none : `${(100 * share).toFixed(1)} %`);
const seconds = (ms: number): string => (ms / 1_000).toFixed(2);
