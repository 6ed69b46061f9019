/**
 * Why a training cannot succeed, in the words of the `failure` file. Its first word is the failure class that the runner
 * reads (DESIGN §2): bad data parks the cycle, a diverged training fails the gate, anything else is the user's error.
 */
export class TrainingFailure extends Error {
  override readonly name = 'TrainingFailure';

  constructor(kind: 'badData' | 'diverged' | 'userError', message: string, options?: ErrorOptions) {
    super(`${kind}: ${message}`, options);
  }
}
