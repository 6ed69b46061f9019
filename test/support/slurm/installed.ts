import { findExecutable } from '../../../src/jobs/local/executables.ts';

/** Why real Slurm cannot be started here; undefined when it can. */
export function whyNoSlurm(): string | undefined {
  const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
  const missing = ['slurmctld', 'slurmd', 'sbatch', 'slurmrestd', 'munged'].filter(
    (command) => findExecutable(command, path) === undefined,
  );
  if (missing.length > 0) return `no ${missing.join(', ')}: run scripts/ensure-slurm.sh as root (Debian or Ubuntu)`;
  if (process.getuid?.() !== 0) return 'slurmd starts jobs as other users: run as root';
  return undefined;
}

/** A suite that needs real Slurm: skipped by name where there is none, required in CI. */
export function describeSlurm(name: string, suite: () => void): void {
  const why = whyNoSlurm();
  if (why === undefined || process.env.GOTO3_REQUIRE_SLURM)
    describe(name, function () {
      // A requeue, a node that fails, a controller that restarts: Slurm takes its time.
      this.timeout(90_000);
      suite();
    });
  else
    describe(name, () => {
      it(`is skipped: ${why}`, function () {
        this.skip();
      });
    });
}
