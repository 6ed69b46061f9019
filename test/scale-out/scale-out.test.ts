import assert from 'node:assert/strict';
import { taskQueues } from '../../src/contracts/names.ts';
import { violations } from '../faults/checker/check.ts';
import { collectEvidence } from '../faults/checker/collect.ts';
import { LoopUnderFault } from '../faults/harness/loop.ts';
import { Cluster, type WorkerMachine } from './cluster.ts';
import { whyNoNetwork } from './needs.ts';
import { type Taken, tasksTaken } from './workers-at-work.ts';

const why = whyNoNetwork();
if (why !== undefined && process.env.GOTO3_REQUIRE_NETWORK) throw new Error(why);
const names = ['north', 'south', 'east', 'west'];
/** Some seconds of training, so that all loops are in the middle of a cycle at one instant. */
const training = { kind: 'resumable', epochs: 600 } as const;

(why === undefined ? describe : describe.skip)(
  `two workers per queue on machines of their own, Temporal on PostgreSQL, the store in a bucket${why ? `: ${why}` : ''}`,
  function () {
    this.timeout(170_000);
    let cluster: Cluster;
    let loops: LoopUnderFault[];
    /** That every loop has ended. */
    let cycles = 1;
    const machinesOf = (queue: string): WorkerMachine[] => cluster.workers.filter((machine) => machine.queue === queue);

    before(async () => {
      cluster = await Cluster.create();
      await cluster.addWorkers('control', 'control', 'cpu', 'cpu', 'gpu', 'gpu');
      loops = await Promise.all(names.map((name) => LoopUnderFault.write(cluster, name, { trainer: training })));
    });
    after(() => cluster?.destroy());

    it('one control worker is killed in the middle of four cycles: the other one ends them', async () => {
      await Promise.all(loops.map((loop) => loop.apply()));
      await Promise.all(loops.map((loop) => loop.trains()));
      const before = await tasksTaken(cluster.goto3);
      const ledBy = (machine: WorkerMachine): string[] =>
        names.filter((name) => before.findLast(leads(name, 1))?.machine === machine.name);
      // The one that holds more of the open cycles in its memory.
      const [victim, heir] = machinesOf('control').sort((a, b) => ledBy(b).length - ledBy(a).length) as [
        WorkerMachine,
        WorkerMachine,
      ];
      assert.notDeepEqual(ledBy(victim), [], 'nobody leads a cycle');

      await cluster.kill(victim);
      const killedAtMs = Date.now();
      await approved(loops, 1);
      const later = (await tasksTaken(cluster.goto3)).filter(({ atMs }) => atMs > killedAtMs);
      const laterLedBy = (name: string): Set<string> =>
        new Set(later.filter(leads(name, 1)).map(({ machine }) => machine));
      for (const name of names) assert.ok(!laterLedBy(name).has(victim.name), `${name} is led by the dead`);
      const inherited = ledBy(victim).filter((name) => laterLedBy(name).has(heir.name));
      assert.notDeepEqual(inherited, [], 'no cycle changed hands: all had ended before the kill');
    });

    it('a new worker takes the place of the dead one; every machine had its share of the work', async () => {
      await cluster.addWorkers('control');
      // Who gets a task is the server's business: a machine that had none yet gets one in a later round.
      let taken: Taken[] = [];
      const idle = (): string[] =>
        cluster.workers.map(({ name }) => name).filter((name) => !taken.some(({ machine }) => machine === name));
      do {
        cycles += 1;
        for (const loop of loops) await next(loop, cycles);
        await approved(loops, cycles);
        taken = await tasksTaken(cluster.goto3);
      } while (idle().length > 0 && cycles < 5);
      assert.deepEqual(idle(), []);
      for (const { kind, machine, workflowId } of taken)
        if (kind === 'workflow task')
          assert.ok(machine.startsWith(taskQueues.control), `${workflowId} ran on ${machine}`);
    });

    it('nothing ran twice, nothing is lost, every history replays', async () => {
      const evidence = { ...(await collectEvidence(cluster)), jobs: await cluster.jobs() };
      assert.deepEqual(violations(evidence), []);
      const each = Array.from({ length: cycles }, (_, i) => i + 1);
      const jobs = names.flatMap((name) => each.map((n) => `${name}/${n}/train/1`)).sort();
      assert.deepEqual(evidence.jobs.map(({ name }) => name).sort(), jobs);
      assert.deepEqual(evidence.starts.map(({ job }) => job).sort(), jobs);
    });

    async function next(loop: LoopUnderFault, n: number): Promise<void> {
      const { cycle } = await cluster.goto3.loop(loop.name).retrain({ requestId: `${loop.name}-${n}`, reason: 'test' });
      assert.equal(cycle, `${loop.name}/${n}`);
      cluster.log.commands.push({ kind: 'retrain', loop: loop.name, cycle: n });
    }
  },
);

const leads =
  (name: string, n: number) =>
  ({ kind, workflowId }: Taken): boolean =>
    kind === 'workflow task' && workflowId === `cycle/${name}/${n}`;

async function approved(loops: readonly LoopUnderFault[], n: number): Promise<void> {
  for (const loop of loops) {
    const { outcome, detail } = await loop.report(n);
    assert.equal(outcome, 'approved', `${loop.name}/${n}: ${detail}`);
  }
}
