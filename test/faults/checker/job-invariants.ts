import type { Invariant, JobEvidence } from './evidence.ts';

/** Classes after which the workflow itself may start the next attempt (policies/job-retry). */
const resumable = new Set(['preempted', 'capacity', 'infrastructure', 'outOfMemory', 'timeLimit', 'stalled']);

/** `<loop>/<n>/<step>` and the attempt. */
function parts(name: string): { step: string; attempt: number } {
  const cut = name.lastIndexOf('/');
  return { step: name.slice(0, cut), attempt: Number(name.slice(cut + 1)) };
}

function bySteps(jobs: readonly JobEvidence[]): Map<string, JobEvidence[]> {
  const steps = new Map<string, JobEvidence[]>();
  for (const job of jobs) {
    const { step } = parts(job.name);
    steps.set(step, [...(steps.get(step) ?? []), job]);
  }
  for (const attempts of steps.values()) attempts.sort((a, b) => parts(a.name).attempt - parts(b.name).attempt);
  return steps;
}

/** I2: one wrapper may run a job's program, and the program runs once. */
export const noJobRunsTwice: Invariant = ({ jobs, starts }) => {
  const problems: string[] = [];
  for (const { name, claims } of jobs)
    if (claims.length > 1) problems.push(`job ${name} was claimed ${claims.length} times: ${claims.join(', ')}`);
  const pids = new Map<string, number>();
  for (const { job, pid } of starts) {
    const before = pids.get(job);
    if (before !== undefined) problems.push(`the program of job ${job} was started twice: pids ${before} and ${pid}`);
    pids.set(job, pid);
    if (!jobs.some(({ name }) => name === job)) problems.push(`a program runs as job ${job}, which has no folder`);
  }
  return problems;
};

/** I2: attempts follow each other: the next one only after the end of the one before, and never after a success. */
export const attemptsFollowFailures: Invariant = ({ jobs }) =>
  [...bySteps(jobs)].flatMap(([step, attempts]) =>
    attempts.flatMap((job, i) => {
      const { attempt } = parts(job.name);
      if (attempt !== i + 1) return [`step ${step} has an attempt ${attempt} and no attempt ${i + 1}`];
      const before = attempts[i - 1];
      if (!before) return [];
      if (!before.exit) return [`attempt ${attempt} of ${step} was started and attempt ${i} has not ended`];
      if (before.exit.state === 'succeeded') return [`attempt ${attempt} of ${step} follows one that succeeded`];
      if (before.exit.endedAt > job.submittedAt)
        return [`attempt ${attempt} of ${step} was submitted before attempt ${i} ended at ${before.exit.endedAt}`];
      return [];
    }),
  );

/** I2: a failure that no retry repairs is followed by a person's word only, and a person asks for a new child workflow. */
export const onlyPeopleRetryWhatIsBroken: Invariant = ({ jobs, histories }) =>
  [...bySteps(jobs)].flatMap(([step, attempts]) =>
    attempts.slice(0, -1).flatMap(({ name, exit }) => {
      if (!exit || exit.state === 'succeeded' || resumable.has(exit.failureClass ?? '')) return [];
      const { attempt } = parts(name);
      const asked = histories.some(({ workflowId }) => workflowId === `job/${step}/from-${attempt + 1}`);
      return asked ? [] : [`attempt ${attempt} of ${step} ended as ${exit.failureClass} and was tried again by itself`];
    }),
  );

/** I2: every job in a folder was asked for by a workflow whose history says so. */
export const jobsAreInHistory: Invariant = ({ jobs, histories }) => {
  const asked = new Set(histories.flatMap(({ submitted }) => submitted));
  return jobs.filter(({ name }) => !asked.has(name)).map(({ name }) => `no history asked for job ${name}`);
};

/** The SDK suggests a continue-as-new from here on; histories that pass it by far are not bounded (temporal.md §3, 7). */
const longestHistory = 4_096;

/** I11 */
export const historiesAreBounded: Invariant = ({ histories }) =>
  histories
    .filter(({ events }) => events > longestHistory)
    .map(({ workflowId, events }) => `the history of ${workflowId} has ${events} events`);

/** I8 */
export const historiesReplay: Invariant = ({ histories }) =>
  histories.flatMap(({ workflowId, runId, replayFailure }) =>
    replayFailure === null ? [] : [`${workflowId} (run ${runId}) does not replay: ${replayFailure}`],
  );

/** I10 */
export const nothingIsLeft: Invariant = ({ processesLeft }) =>
  (processesLeft ?? []).map((pid) => `process ${pid} outlived the stack`);
