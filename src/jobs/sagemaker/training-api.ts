import {
  CreateTrainingJobCommand,
  type CreateTrainingJobCommandInput,
  DescribeTrainingJobCommand,
  type DescribeTrainingJobResponse,
  type SageMakerClient,
  StopTrainingJobCommand,
} from '@aws-sdk/client-sagemaker';
import type { AwsCaller } from '../../aws/caller.ts';
import { kindOfAwsError } from '../../aws/errors.ts';

/** `inUse`: the name is taken, by this job or another. `quota`: the account may not have another of these instances. */
export type Creation = { kind: 'created' } | { kind: 'inUse' } | { kind: 'quota'; why: string };

/** The three calls that a runner makes. Jobs are found by name alone: lists have the lowest limits and page by page. */
export class TrainingApi {
  readonly #client: SageMakerClient;
  readonly #caller: AwsCaller;

  constructor(client: SageMakerClient, caller: AwsCaller) {
    this.#client = client;
    this.#caller = caller;
  }

  /** Sent again after a lost reply: the name makes it once. Throws `AwsRefused` or `AwsUnavailable`. */
  async create(input: CreateTrainingJobCommandInput): Promise<Creation> {
    const action = 'sagemaker:CreateTrainingJob';
    try {
      await this.#caller.call(action, () => this.#client.send(new CreateTrainingJobCommand(input)));
      return { kind: 'created' };
    } catch (error) {
      const kind = kindOfAwsError(error);
      if (kind === 'inUse') return { kind };
      if (kind === 'quota') return { kind, why: this.#caller.advice(error, action) };
      throw error;
    }
  }

  /** Undefined when there is no training job of that name. */
  async describe(TrainingJobName: string): Promise<DescribeTrainingJobResponse | undefined> {
    try {
      return await this.#caller.call('sagemaker:DescribeTrainingJob', () =>
        this.#client.send(new DescribeTrainingJobCommand({ TrainingJobName })),
      );
    } catch (error) {
      if (kindOfAwsError(error) === 'notFound') return undefined;
      throw error;
    }
  }

  /** Does nothing to a job that has ended, or that does not exist. */
  async stop(TrainingJobName: string): Promise<void> {
    try {
      await this.#caller.call('sagemaker:StopTrainingJob', async () => {
        try {
          await this.#client.send(new StopTrainingJobCommand({ TrainingJobName }));
        } catch (error) {
          if (!isEnded(error as Error)) throw error;
        }
      });
    } catch (error) {
      if (kindOfAwsError(error) !== 'notFound') throw error;
    }
  }
}

/** "The request was rejected because the training job is in status Completed." (words assumed: docs/aws.md) */
const isEnded = ({ name, message }: Error): boolean =>
  name === 'ValidationException' && /in status (Completed|Failed|Stopped|Stopping)/.test(message);
