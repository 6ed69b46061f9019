import assert from 'node:assert/strict';
import { ClusterUnavailable } from '../../../src/jobs/slurm/errors.ts';
import { QueueWatch } from '../../../src/jobs/slurm/queue-watch.ts';
import type { SlurmJob, SlurmTransport } from '../../../src/jobs/slurm/transport.ts';
import { eventually } from '../eventually.ts';

const job = (id: string, state = 'RUNNING', name = `goto3-${id}`): SlurmJob => ({
  id,
  name,
  states: [state],
  reason: 'None',
  nodes: 'n1',
});

/** A cluster that answers from memory and counts its questions. */
class Cluster implements SlurmTransport {
  jobs: SlurmJob[] = [];
  accounts: SlurmJob[] | undefined;
  problem: Error | undefined;
  askedQueue = 0;
  askedAccounts = 0;
  async queue(): Promise<SlurmJob[]> {
    this.askedQueue += 1;
    if (this.problem) throw this.problem;
    return this.jobs;
  }
  async accounting(): Promise<SlurmJob[] | undefined> {
    this.askedAccounts += 1;
    return this.accounts;
  }
  submit = () => Promise.reject(new Error('not asked here'));
  cancel = () => Promise.reject(new Error('not asked here'));
}

describe('slurm: one look at the queue for all', () => {
  let cluster: Cluster;
  beforeEach(() => {
    cluster = new Cluster();
  });
  const wordOf = (watch: QueueWatch, id: string, kind: string) =>
    eventually(`${kind} about ${id}`, () => {
      const word = watch.wordOn(id, `goto3-${id}`);
      return word.kind === kind && word;
    });

  it('asks once for a thousand jobs', async () => {
    const watch = new QueueWatch(cluster, { fromMs: 50, toMs: 10_000 });
    const ids = Array.from({ length: 1_000 }, (_, i) => String(i + 1));
    cluster.jobs = ids.map((id) => job(id));
    for (const id of ids) assert.equal(watch.wordOn(id, `goto3-${id}`).kind, 'silent');
    await wordOf(watch, '1000', 'job');
    for (const id of ids) assert.equal(watch.wordOn(id, `goto3-${id}`).kind, 'job');
    assert.equal(cluster.askedQueue, 1);
    assert.equal(cluster.askedAccounts, 0);
  });

  it('asks ever more seldom while nothing changes, and often again after a change', async () => {
    const watch = new QueueWatch(cluster, { fromMs: 10, toMs: 10_000 });
    cluster.jobs = [job('1', 'PENDING')];
    const untilMs = performance.now() + 600;
    await eventually('600 ms', () => {
      watch.wordOn('1', 'goto3-1');
      return performance.now() > untilMs;
    });
    // 10 · 1.5^n: eight looks in 600 ms where a fixed clock would make sixty.
    assert.ok(cluster.askedQueue <= 11, `${cluster.askedQueue} looks`);
    cluster.jobs = [job('1', 'RUNNING')];
    await eventually('the change', () => {
      const word = watch.wordOn('1', 'goto3-1');
      return word.kind === 'job' && word.job.states[0] === 'RUNNING';
    });
    const before = cluster.askedQueue;
    await eventually(
      'two quick looks',
      () => {
        watch.wordOn('1', 'goto3-1');
        return cluster.askedQueue >= before + 2;
      },
      300,
    );
  });

  it('an id that another job has now is absent; so is one that nobody knows; accounts are asked once where there are none', async () => {
    const watch = new QueueWatch(cluster, { fromMs: 10, toMs: 20 });
    cluster.jobs = [job('1', 'RUNNING', 'somebody-else')];
    watch.wordOn('2', 'goto3-2');
    await wordOf(watch, '1', 'absent');
    await wordOf(watch, '2', 'absent');
    await eventually('more looks', () => {
      watch.wordOn('1', 'goto3-1');
      return cluster.askedQueue >= 4;
    });
    assert.equal(cluster.askedAccounts, 1);
  });

  it('what the queue has forgotten, accounting knows', async () => {
    cluster.accounts = [job('1', 'COMPLETED')];
    const watch = new QueueWatch(cluster, { fromMs: 10, toMs: 20 });
    const word = await wordOf(watch, '1', 'job');
    assert.equal(word.kind === 'job' && word.job.states[0], 'COMPLETED');
  });

  it('time passes by answers alone: silence does not turn "absent" into "long absent"', async () => {
    const watch = new QueueWatch(cluster, { fromMs: 10, toMs: 20 });
    const first = await wordOf(watch, '1', 'absent');
    cluster.problem = new ClusterUnavailable('away');
    const asked = cluster.askedQueue;
    await eventually('five failed looks', () => {
      watch.wordOn('1', 'goto3-1');
      return cluster.askedQueue >= asked + 5;
    });
    const later = watch.wordOn('1', 'goto3-1');
    assert.ok(later.kind === 'absent' && first.kind === 'absent' && later.forMs - first.forMs < 40);
  });

  it('finds by name; lookups at the same time share one answer that is newer than the question', async () => {
    const watch = new QueueWatch(cluster, { fromMs: 10, toMs: 20 });
    cluster.jobs = [job('1'), job('2', 'PENDING', 'goto3-1')];
    const found = await Promise.all(Array.from({ length: 50 }, () => watch.find('goto3-1', 0)));
    for (const jobs of found)
      assert.deepEqual(
        jobs.map(({ id }) => id),
        ['1', '2'],
      );
    assert.equal(cluster.askedQueue, 2);
    cluster.problem = new ClusterUnavailable('away');
    await assert.rejects(watch.find('goto3-1', 0), ClusterUnavailable);
  });
});
