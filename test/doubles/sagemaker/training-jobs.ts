import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, invalid } from './api-error.ts';
import { type CreateInput, type Surroundings, TrainingJob } from './training-job.ts';

export interface AccountRules {
  account: string;
  region: string;
  /** Roles that trust sagemaker.amazonaws.com. */
  roles: readonly string[];
  /** Instances that the account may have at once, by type; unlisted types: 20. */
  quotas: Record<string, number>;
  /** Instances that EC2 has at once, by type; unlisted types: as many as asked for. */
  capacity: Record<string, number>;
}

const namePattern = /^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$/;
const waitForCapacityMs = 20;
const defaultQuota = 20;

/** Training jobs of one account in one region. */
export class TrainingJobs {
  readonly rules: AccountRules;
  readonly #around: Omit<Surroundings, 'acquire'>;
  readonly #jobs = new Map<string, TrainingJob>();
  readonly #tags = new Map<string, Map<string, string>>();
  readonly #inUse = new Map<string, number>();
  /** Types on which the next starts end with a CapacityError. */
  readonly withoutCapacity = new Set<string>();

  constructor(rules: AccountRules, around: Omit<Surroundings, 'acquire'>) {
    this.rules = rules;
    this.#around = around;
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html */
  create(input: CreateInput): object {
    const name = input.TrainingJobName ?? '';
    if (!namePattern.test(name))
      throw invalid(
        `1 validation error detected: Value '${name}' at 'trainingJobName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`,
      );
    const { MaxRuntimeInSeconds: run = 86_400, MaxWaitTimeInSeconds: wait } = input.StoppingCondition ?? {};
    // API_StoppingCondition: "must be equal to or greater than MaxRuntimeInSeconds", and only for spot (the words: assumed).
    if (input.EnableManagedSpotTraining && (wait === undefined || wait < run))
      throw invalid('MaxWaitTimeInSeconds above or equal to MaxRuntimeInSeconds must be provided for spot training');
    if (!input.EnableManagedSpotTraining && wait !== undefined)
      throw invalid('MaxWaitTimeInSeconds is only valid with EnableManagedSpotTraining');
    // dg/train-warm-pools: warm pools and spot exclude each other (the words: assumed).
    if (input.EnableManagedSpotTraining && input.ResourceConfig.KeepAlivePeriodInSeconds)
      throw invalid('KeepAlivePeriodInSeconds is not supported with EnableManagedSpotTraining');
    const arn = `arn:aws:sagemaker:${this.rules.region}:${this.rules.account}:training-job/${name}`;
    if (this.#jobs.has(name))
      // Errors of API_CreateTrainingJob: ResourceInUse (the words: assumed).
      throw new ApiError(
        'ResourceInUse',
        `Training job names must be unique within an AWS account and region, and a training job with this name already exists (${arn})`,
      );
    // Knowledge center, "Could not assume role" (the words as users report them).
    if (!this.rules.roles.includes(input.RoleArn))
      throw invalid(
        `Could not assume role ${input.RoleArn}. Please ensure that the role exists and allows principal 'sagemaker.amazonaws.com' to assume the role.`,
      );
    const type = input.ResourceConfig.InstanceType;
    const used = [...this.#jobs.values()].filter(
      (job) => !job.isOver && job.input.ResourceConfig.InstanceType === type,
    ).length;
    const quota = this.rules.quotas[type] ?? defaultQuota;
    // Errors of API_CreateTrainingJob: ResourceLimitExceeded; the words as users report them.
    if (used >= quota)
      throw new ApiError(
        'ResourceLimitExceeded',
        `The account-level service limit '${type} for training job usage' is ${quota} Instances, with current utilization of ${used} Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an increase for this quota.`,
      );
    this.#jobs.set(name, new TrainingJob(input, arn, { ...this.#around, acquire: (wanted) => this.#acquire(wanted) }));
    this.addTags({ ResourceArn: arn, Tags: input.Tags ?? [] });
    return { TrainingJobArn: arn };
  }

  describe({ TrainingJobName: name }: { TrainingJobName?: string }): object {
    return this.job(name).describe();
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StopTrainingJob.html */
  stop({ TrainingJobName: name }: { TrainingJobName?: string }): object {
    const job = this.job(name);
    if (job.isOver || job.status === 'Stopping')
      throw invalid(`The request was rejected because the training job is in status ${job.status}.`);
    job.stop();
    return {};
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AddTags.html */
  addTags({
    ResourceArn: arn = '',
    Tags = [],
  }: {
    ResourceArn?: string;
    Tags?: { Key: string; Value: string }[];
  }): object {
    const tags = this.#tags.get(arn) ?? new Map<string, string>();
    for (const { Key, Value } of Tags) tags.set(Key, Value);
    this.#tags.set(arn, tags);
    return { Tags: tagList(tags) };
  }

  listTags({ ResourceArn: arn = '' }: { ResourceArn?: string }): object {
    return { Tags: tagList(this.#tags.get(arn) ?? new Map()) };
  }

  /** What an unknown name gets from Describe and Stop (the words: assumed). */
  job(name: string | undefined): TrainingJob {
    const job = this.#jobs.get(name ?? '');
    if (!job) throw invalid('Requested resource not found.');
    return job;
  }

  all(): TrainingJob[] {
    return [...this.#jobs.values()];
  }

  async #acquire(type: string): Promise<{ release: () => void } | { fails: string }> {
    // FailureReason of jobs for which EC2 had nothing (knowledge center: "CapacityError: Unable to provision …").
    if (this.withoutCapacity.has(type))
      return {
        fails: `Unable to provision requested ML compute capacity. Please retry using a different ML instance type or after some time.`,
      };
    const has = this.rules.capacity[type] ?? Number.POSITIVE_INFINITY;
    while ((this.#inUse.get(type) ?? 0) >= has) await sleep(waitForCapacityMs, undefined, { ref: false });
    this.#inUse.set(type, (this.#inUse.get(type) ?? 0) + 1);
    return { release: () => this.#inUse.set(type, this.#inUse.get(type)! - 1) };
  }
}

const tagList = (tags: ReadonlyMap<string, string>) => [...tags].map(([Key, Value]) => ({ Key, Value }));
