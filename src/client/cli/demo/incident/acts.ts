import { rm } from 'node:fs/promises';
import type { EndedCycle, NewLabels, ReplayScript } from '../../../../../examples/spam-filter/replay/script.ts';
import { until } from '../../../../../examples/spam-filter/replay/until.ts';
import type { CycleStage, CycleStatus, EndpointStatus } from '../../../../contracts/messages.ts';
import { publish } from '../../../../jobs/local/publish.ts';
import { count } from '../../words.ts';
import { type, typedLine } from '../operator.ts';
import { poisonScript } from '../poison.ts';
import { endpoint, type Stage } from '../stage.ts';
import { Act, type ClientCounts, type Tell } from './act.ts';
import { attemptsOf } from './jobs-twice.ts';
import { inTheMiddleOf, killWorkersAndServer } from './kill.ts';

/** What goes wrong in which cycle; the first one has nothing to lose yet. */
export const cyclesHit = { killed: 2, poisoned: 3, slow: 4 } as const;

export interface Acts {
  all: readonly Act[];
  script: ReplayScript;
}

type Stagehands = Pick<Stage, 'home' | 'goto3' | 'mails' | 'interrupt'>;

/** Three things that go wrong, one in each cycle after the first. */
export function incidentActs(
  stage: Stagehands,
  { loop, clients, tell }: { loop: string; clients: () => ClientCounts; tell: Tell },
): Acts {
  const audience = { clients, tell };
  const acts = {
    killed: killedMidTraining(
      stage,
      loop,
      new Act(
        { name: 'kill -9', title: 'kill -9 of every worker and of the Temporal server, in the middle of a fine-tune' },
        audience,
      ),
    ),
    poisoned: poisoned(
      stage,
      new Act(
        { name: 'poisoned labels', title: 'a labeller has the classes swapped: every new label is wrong' },
        audience,
      ),
    ),
    slow: slowCandidate(
      stage,
      new Act(
        { name: 'slow candidate', title: 'a candidate that passes the gate gets slow on live traffic, at 25 %' },
        audience,
      ),
    ),
  };
  const inCycle = new Map(Object.entries(cyclesHit).map(([name, n]) => [n as number, acts[name as keyof typeof acts]]));
  return {
    all: Object.values(acts).map(({ act }) => act),
    script: {
      async beforeLabels(labels) {
        await inCycle.get(labels.cycle)?.beforeLabels(labels);
      },
      onCycle: (status) => inCycle.get(status.n)?.onCycle?.(status),
      // Nothing else may need a person: what nobody planned ends the run.
      operator: async (waiting) => {
        const { operator } = inCycle.get(waiting.n) ?? {};
        if (!operator) throw new Error(`cycle ${waiting.n} waits for a person: ${waiting.waitsFor}`);
        await operator(waiting);
      },
      async afterCycle(ended) {
        await inCycle.get(ended.n)?.afterCycle(ended);
      },
    },
  };
}

interface Scene {
  act: Act;
  beforeLabels(labels: NewLabels): Promise<void>;
  onCycle?(status: CycleStatus): void;
  operator?(waiting: CycleStatus): Promise<void>;
  afterCycle(ended: EndedCycle): Promise<void>;
}

const isPast = (stage: CycleStage, ...stages: CycleStage[]): boolean => !stages.includes(stage);

function killedMidTraining({ home, interrupt }: Stagehands, loop: string, act: Act): Scene {
  const over = new AbortController();
  const signal = AbortSignal.any([interrupt.signal, over.signal]);
  let killing: Promise<void> | undefined;
  return {
    act,
    async beforeLabels({ cycle }) {
      act.begin();
      killing = inTheMiddleOf(home.layout.jobs, `${loop}/${cycle}/train/1`, signal).then((fraction) => {
        const names = killWorkersAndServer(home.layout);
        act.fire(`${names.join(', ')}: killed, with ${Math.round(100 * fraction)} % of the fine-tune done`);
      });
      // Whether it happened is in the figures.
      killing.catch(() => undefined);
    },
    onCycle: ({ stage }) => {
      if (isPast(stage, 'data', 'train')) act.goesOn();
    },
    async afterCycle({ n, outcome }) {
      over.abort(new Error('the fine-tune was over before anybody could kill anything'));
      await killing?.catch((error: Error) => act.note(error.message));
      const attempts = await attemptsOf(home.layout.jobs, `${loop}/${n}/train`);
      const lived = attempts === 1 ? 'the fine-tune lived through it' : `the fine-tune took ${attempts} attempts`;
      act.note(`${lived}; cycle ${n} ${outcome}`);
      act.end();
    },
  };
}

function poisoned(stage: Stagehands, act: Act): Scene {
  const { home, mails } = stage;
  const { poisoning, script } = poisonScript(cyclesHit.poisoned, { home, mails, tell: () => undefined });
  return {
    act,
    async beforeLabels(labels) {
      act.begin();
      await script.beforeLabels?.(labels);
      act.fire(`${count(poisoning.swapped)} labels are swapped, in training and hold-out alike`);
    },
    onCycle: ({ stage: at }) => {
      if (poisoning.typed !== null && isPast(at, 'data', 'parked')) act.goesOn();
    },
    async operator(waiting) {
      await script.operator?.(waiting);
      act.note(`held back before training: ${poisoning.heldBack}`);
      act.note(`typed: ${poisoning.typed}`);
      act.hasTyped(poisoning.typed!, { waited: true });
    },
    async afterCycle({ n, outcome }) {
      act.note(`cycle ${n} went on without them: ${outcome}`);
      act.end();
    },
  };
}

const canaryWithinMs = 240_000;

function slowCandidate({ home, goto3, interrupt }: Stagehands, act: Act): Scene {
  const over = new AbortController();
  const signal = AbortSignal.any([interrupt.signal, over.signal]);
  let watching: Promise<void> | undefined;
  const statusWhen = async (what: string, is: (status: EndpointStatus) => boolean): Promise<EndpointStatus> =>
    await until(
      async () => {
        const status = await goto3
          .endpoint(endpoint)
          .status()
          .catch(() => undefined);
        return status && is(status) ? status : undefined;
      },
      { everyMs: 100, withinMs: canaryWithinMs, signal, what },
    );
  const watch = async (): Promise<void> => {
    const { candidate } = await statusWhen('the candidate has traffic', (status) => status.candidate !== null);
    const { model, version, weight } = candidate!;
    act.fire(`version ${version} passed the gate and has ${weight} % of the traffic`);
    // It loses its traffic, then that is recorded.
    const { last, current } = await statusWhen('the canary ends', (status) => status.last?.model === model);
    if (last?.outcome !== 'rolledBack') return act.note(`it was not rolled back: ${last?.outcome}, ${last?.reason}`);
    act.goesOn();
    act.note(`rolled back by the canary: ${last.reason}`);
    act.note(`version ${current?.version} has all traffic; the candidate is barred, the endpoint frozen`);
  };
  return {
    act,
    async beforeLabels() {
      act.begin();
      await publish(home.slowCandidateFile, '');
      watching = watch();
      watching.catch(() => undefined);
    },
    async afterCycle({ n, outcome, detail }) {
      await rm(home.slowCandidateFile, { force: true });
      if (outcome !== 'rolledBack') {
        over.abort(new Error('nothing was rolled back'));
        act.note(`cycle ${n} ended as ${outcome}: ${detail}`);
      } else {
        await watching;
        const argv = ['endpoint', 'unfreeze', endpoint, '--reason', 'the slow layer is out of the training code'];
        await type(home.layout.home, argv);
        act.note(`typed: ${typedLine(argv)}`);
        act.hasTyped(typedLine(argv), { waited: false });
      }
      act.end();
    },
  };
}
