import { describeArrays } from '../jobs/arrays.ts';
import { describeRunner } from '../jobs/conformance.ts';
import { type Cluster, startCluster } from '../support/slurm/cluster.ts';
import { describeSlurm } from '../support/slurm/installed.ts';
import { setUpSlurm } from './slurm-fixture.ts';

describeSlurm('real Slurm', () => {
  let cluster: Cluster;
  before(async () => {
    // One node: the suite fills it to see a job wait.
    cluster = await startCluster({ nodes: 1 });
  });
  after(async () => {
    await cluster.stop();
  });

  describeRunner('slurm, by its command line', () => setUpSlurm(cluster, 'cli'));
  describeRunner('slurm, by slurmrestd', () => setUpSlurm(cluster, 'rest'));
  describeArrays('slurm, by its command line', () => setUpSlurm(cluster, 'cli'));
  describeArrays('slurm, by slurmrestd', () => setUpSlurm(cluster, 'rest'));
});
