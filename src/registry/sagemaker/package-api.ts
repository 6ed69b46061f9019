import {
  CreateModelPackageCommand,
  type CreateModelPackageCommandInput,
  CreateModelPackageGroupCommand,
  type CreateModelPackageGroupCommandInput,
  DescribeModelPackageCommand,
  type DescribeModelPackageCommandOutput,
  DescribeModelPackageGroupCommand,
  ListModelPackagesCommand,
  ListTagsCommand,
  type ModelApprovalStatus,
  type ModelPackageSummary,
  type SageMakerClient,
  UpdateModelPackageCommand,
} from '@aws-sdk/client-sagemaker';
import type { AwsCaller } from '../../aws/caller.ts';
import { isAbsent, isTaken } from './errors.ts';

const pageSize = 100;

/** The calls about model package groups and packages, with what AWS says about names that are there or are not. */
export class PackageApi {
  readonly #client: SageMakerClient;
  readonly #caller: AwsCaller;

  constructor(client: SageMakerClient, caller: AwsCaller) {
    this.#client = client;
    this.#caller = caller;
  }

  /** Undefined when there is none of that name. */
  async group(ModelPackageGroupName: string): Promise<{ arn: string; tags: Map<string, string> } | undefined> {
    const found = await this.#caller.call('sagemaker:DescribeModelPackageGroup', () =>
      unless(isAbsent, this.#client.send(new DescribeModelPackageGroupCommand({ ModelPackageGroupName }))),
    );
    if (!found) return undefined;
    const arn = found.ModelPackageGroupArn!;
    const { Tags = [] } = await this.#caller.call('sagemaker:ListTags', () =>
      this.#client.send(new ListTagsCommand({ ResourceArn: arn, MaxResults: pageSize })),
    );
    return { arn, tags: new Map(Tags.map(({ Key, Value }) => [Key!, Value!])) };
  }

  /** Somebody else may have been faster: look at the group then. */
  async createGroup(input: CreateModelPackageGroupCommandInput): Promise<void> {
    await this.#caller.call('sagemaker:CreateModelPackageGroup', () =>
      unless(isTaken, this.#client.send(new CreateModelPackageGroupCommand(input))),
    );
  }

  /** Its ClientToken makes it once. @throws the SDK's ConflictException when the token is used up */
  async create(input: CreateModelPackageCommandInput): Promise<string> {
    const { ModelPackageArn } = await this.#caller.call('sagemaker:CreateModelPackage', () =>
      this.#client.send(new CreateModelPackageCommand(input)),
    );
    return ModelPackageArn!;
  }

  async describe(ModelPackageName: string): Promise<DescribeModelPackageCommandOutput | undefined> {
    return await this.#caller.call('sagemaker:DescribeModelPackage', () =>
      unless(isAbsent, this.#client.send(new DescribeModelPackageCommand({ ModelPackageName }))),
    );
  }

  /** Newest first. */
  async *list(ModelPackageGroupName: string): AsyncIterable<ModelPackageSummary> {
    let NextToken: string | undefined;
    do {
      const page = await this.#caller.call('sagemaker:ListModelPackages', () =>
        this.#client.send(
          new ListModelPackagesCommand({
            ...{ ModelPackageGroupName, SortBy: 'CreationTime', SortOrder: 'Descending', MaxResults: pageSize },
            ...(NextToken !== undefined && { NextToken }),
          }),
        ),
      );
      yield* page.ModelPackageSummaryList ?? [];
      ({ NextToken } = page);
    } while (NextToken !== undefined);
  }

  async update(
    ModelPackageArn: string,
    ModelApprovalStatus: ModelApprovalStatus,
    ApprovalDescription: string,
    CustomerMetadataProperties: Record<string, string>,
  ): Promise<void> {
    await this.#caller.call('sagemaker:UpdateModelPackage', () =>
      this.#client.send(
        new UpdateModelPackageCommand({
          ...{ ModelPackageArn, ModelApprovalStatus, ApprovalDescription },
          ...(Object.keys(CustomerMetadataProperties).length > 0 && { CustomerMetadataProperties }),
        }),
      ),
    );
  }
}

/** Undefined for an error that is an answer; caught here, before the caller takes it for a refusal. */
export async function unless<T>(isAnswer: (error: unknown) => boolean, sent: Promise<T>): Promise<T | undefined> {
  try {
    return await sent;
  } catch (error) {
    if (isAnswer(error)) return undefined;
    throw error;
  }
}
