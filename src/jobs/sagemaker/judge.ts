import type { DescribeTrainingJobResponse } from '@aws-sdk/client-sagemaker';
import type { FailureClass } from '../../contracts/failures.ts';
import type { JobState, JobStatus } from '../../contracts/job.ts';
import type { ExitRecord } from '../local/job-folder.ts';
import { statusOf } from '../local/job-state.ts';

/** TrainingJobStatus that is final (API_DescribeTrainingJob). */
const over = new Set(['Completed', 'Failed', 'Stopped']);
export const isOver = ({ TrainingJobStatus: status }: DescribeTrainingJobResponse): boolean => over.has(status ?? '');

/** SecondaryStatus in which the program runs, or has just ended; in all others the job waits for its machine. */
const running = new Set(['Training', 'Uploading', 'Stopping', 'Updating']);

/**
 * How far a training job has come: SageMaker's word for whether it is over, the launcher's last word for why a program
 * ended, where there is one. Pure.
 */
export function judge(job: DescribeTrainingJobResponse, exit: ExitRecord | undefined): JobStatus {
  const { SecondaryStatus: stage, TrainingStartTime: started, TrainingEndTime: ended } = job;
  const times = {
    ...(stage !== undefined && { stage }),
    ...(started && { startedAt: started.toISOString() }),
    ...(job.BillableTimeInSeconds !== undefined && { billableSeconds: job.BillableTimeInSeconds }),
  };
  if (!isOver(job)) return { state: stateWhileAlive(job), ...times };
  const endedAt = (ended ?? job.LastModifiedTime ?? job.CreationTime)!.toISOString();
  return { ...outcome(job, exit), ...times, endedAt };
}

function stateWhileAlive({ TrainingJobStatus: status, SecondaryStatus: stage }: DescribeTrainingJobResponse): JobState {
  if (status === 'Stopping') return 'running';
  if (status !== 'InProgress') return 'unknown';
  return running.has(stage ?? '') ? 'running' : 'pending';
}

function outcome(
  job: DescribeTrainingJobResponse,
  exit: ExitRecord | undefined,
): Partial<JobStatus> & { state: JobState } {
  const { TrainingJobStatus: status, SecondaryStatus: stage, FailureReason: words = '' } = job;
  if (status === 'Completed') return { state: 'succeeded', exitCode: 0 };
  if (status === 'Stopped') {
    if (stage === 'MaxRuntimeExceeded') return failed('timeLimit', 'SageMaker ended it at MaxRuntimeInSeconds');
    if (stage === 'MaxWaitTimeExceeded') return failed('capacity', 'no spot capacity within MaxWaitTimeInSeconds');
    return { state: 'cancelled', reason: 'cancelled on request' };
  }
  const platform = platformFailure(words);
  if (platform) return failed(platform, words);
  // The program's end as the one who watched it recorded it: signal, memory, time limit, its own `failure` file.
  if (exit && exit.state !== 'succeeded') {
    const { endedAt: _endedAt, startedAt: _startedAt, ...rest } = statusOf(exit);
    return rest;
  }
  return failed('userError', words === '' ? 'the training job failed, and SageMaker does not say why' : words);
}

const failed = (failureClass: FailureClass, reason: string) => ({ state: 'failed' as const, failureClass, reason });

/**
 * FailureReason begins with what failed (dg/sagemaker-troubleshooting-training, and knowledge-center pages): the algorithm
 * (AlgorithmError), the request (ClientError), EC2 (CapacityError), or the service itself (InternalServerError).
 */
function platformFailure(reason: string): FailureClass | undefined {
  if (/^CapacityError/.test(reason)) return 'capacity';
  if (/^InternalServerError/.test(reason)) return 'infrastructure';
  if (/^ClientError/.test(reason)) return 'userError';
  return undefined;
}

/** Whether an attempt ended because EC2 had no such instance. Pure. */
export const foundNoCapacity = (job: DescribeTrainingJobResponse): boolean =>
  isOver(job) && judge(job, undefined).failureClass === 'capacity';
