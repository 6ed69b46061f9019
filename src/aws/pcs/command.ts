import type { Input, Operation } from './inputs.ts';

/** One request, as the SDK's commands are: made of its input, carried out by `PCSClient.send`. */
export abstract class PcsCommand<O extends Operation> {
  abstract readonly operation: O;
  readonly input: Input<O>;

  constructor(input: Input<O>) {
    this.input = input;
  }
}
