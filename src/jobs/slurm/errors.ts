/** The cluster did not answer, or refused for now, and nothing was started; asking again is safe. */
export class ClusterUnavailable extends Error {
  override readonly name = 'ClusterUnavailable';
}

/** The job may or may not be in the queue: only a look can tell. */
export class SubmitUnclear extends Error {
  override readonly name = 'SubmitUnclear';
}

/** The cluster will never take this job as it is: a person has to change something. */
export class SubmitRejected extends Error {
  override readonly name = 'SubmitRejected';
}
