/** `ApplicationFailure` types; a caller switches on these, never on messages. */
export const failureTypes = {
  /** Input that no retry can repair; the message names the field. */
  invalidInput: 'InvalidInput',
  notFound: 'NotFound',
  /** A compare-and-set lost: somebody else moved the ref. */
  refConflict: 'RefConflict',
  /** Same job name, another spec. */
  jobConflict: 'JobConflict',
  jobFailed: 'JobFailed',
  badData: 'BadData',
  /** The data program ended with an exit code, by a signal, or hung: its database may come back, so a retry may succeed. */
  dataProgramFailed: 'DataProgramFailed',
  /** The evaluation program ended well and left what cannot be judged. */
  badEvaluation: 'BadEvaluation',
  corruptBlob: 'CorruptBlob',
  /** The store is full, out of handles or has an I/O error: nothing was half done, a retry may succeed. */
  storeUnavailable: 'StoreUnavailable',
  /** The hub that bases come from does not answer, or sent other bytes than it promised: a retry may succeed. */
  hubUnavailable: 'HubUnavailable',
  refused: 'Refused',
  notYet: 'NotYet',
  loopNotApplied: 'LoopNotApplied',
  /** An encoded payload, and a process without its key: one that has it reads it, so a retry may succeed. */
  codecKeyMissing: 'CodecKeyMissing',
  /** An encoded payload that was changed, or is from another namespace. */
  payloadRefused: 'PayloadRefused',
  /** AWS throttles, is down or cannot be reached: nothing was half done, a retry may succeed. */
  awsUnavailable: 'AwsUnavailable',
  /** AWS says no, and will until a person changes a policy, a quota or the target. */
  awsRefused: 'AwsRefused',
  /** A model whose signature is missing or does not hold, where the policy wants one. */
  signatureRefused: 'SignatureRefused',
} as const;
export type FailureType = (typeof failureTypes)[keyof typeof failureTypes];

/**
 * Why a job ended without success. The class decides what happens next (DESIGN §2), never a blind retry:
 * `preempted` `capacity` `infrastructure` resume from the checkpoint; `outOfMemory` `timeLimit` take the next bigger
 * resources; `stalled` resumes once, then parks; `lost` is surfaced; `userError` `badData` park; `diverged` fails the gate.
 */
export const failureClasses = [
  'preempted',
  'capacity',
  'infrastructure',
  'outOfMemory',
  'timeLimit',
  'stalled',
  'lost',
  'userError',
  'badData',
  'diverged',
] as const;
export type FailureClass = (typeof failureClasses)[number];
