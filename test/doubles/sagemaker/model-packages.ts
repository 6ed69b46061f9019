import { ApiError, invalid } from './api-error.ts';

type Approval = 'Approved' | 'Rejected' | 'PendingManualApproval';
type PackageStatus = 'Pending' | 'Completed' | 'Failed';

/** The one who calls, as UserContext has it. */
export interface Caller {
  arn: string;
}

export interface PackageRules {
  account: string;
  region: string;
  /** A package is Pending so long (how long: assumed). */
  settlesMs: number;
  /** Groups that the account may have. */
  groups: number;
}

interface Group {
  name: string;
  arn: string;
  input: CreateGroup;
  createdMs: number;
  by: Caller;
  versions: number;
}

interface Package {
  arn: string;
  group: Group;
  version: number;
  input: CreatePackage;
  createdMs: number;
  by: Caller;
  approval: Approval;
  approvalDescription?: string;
  modified?: { atMs: number; by: Caller };
  fails?: string;
}

interface CreateGroup {
  ModelPackageGroupName: string;
  ModelPackageGroupDescription?: string;
  Tags?: { Key: string; Value: string }[];
}
interface CreatePackage {
  ModelPackageGroupName?: string;
  ModelPackageDescription?: string;
  ModelApprovalStatus?: Approval;
  ClientToken?: string;
  Tags?: unknown[];
  CustomerMetadataProperties?: Record<string, string>;
  InferenceSpecification?: object;
  ModelMetrics?: object;
  MetadataProperties?: object;
}

const seconds = (ms: number): number => ms / 1_000;
const userOf = ({ arn }: Caller): object => ({ IamIdentity: { Arn: arn } });

/** Groups and versioned packages of one account in one region. */
export class ModelPackages {
  readonly #rules: PackageRules;
  readonly #tag: (arn: string, tags: readonly { Key: string; Value: string }[]) => void;
  readonly #groups = new Map<string, Group>();
  readonly #packages = new Map<string, Package>();
  readonly #tokens = new Map<string, { arn: string; input: string }>();
  /** Packages that are created next end as Failed, for this reason. */
  failNext: string[] = [];

  constructor(rules: PackageRules, tag: (arn: string, tags: readonly { Key: string; Value: string }[]) => void) {
    this.#rules = rules;
    this.#tag = tag;
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackageGroup.html */
  createGroup(input: CreateGroup, by: Caller): object {
    const name = input.ModelPackageGroupName;
    if (!/^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$/.test(name ?? ''))
      throw invalid(
        `1 validation error detected: Value '${name}' at 'modelPackageGroupName' failed to satisfy constraint`,
      );
    const arn = this.#arn(`model-package-group/${name}`);
    // The page has no error for a name that is taken (code and words: assumed).
    if (this.#groups.has(name)) throw invalid(`Model Package Group already exists: ${arn}`);
    // Errors of API_CreateModelPackageGroup: ResourceLimitExceeded.
    if (this.#groups.size >= this.#rules.groups)
      throw new ApiError(
        'ResourceLimitExceeded',
        `The account-level service limit for model package groups is ${this.#rules.groups}`,
      );
    this.#groups.set(name, { name, arn, input, createdMs: Date.now(), by, versions: 0 });
    this.#tag(arn, input.Tags ?? []);
    return { ModelPackageGroupArn: arn };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeModelPackageGroup.html */
  describeGroup({ ModelPackageGroupName }: { ModelPackageGroupName: string }): object {
    const { name, arn, input, createdMs, by } = this.#group(ModelPackageGroupName);
    return {
      ...{ ModelPackageGroupName: name, ModelPackageGroupArn: arn, ModelPackageGroupStatus: 'Completed' },
      ...(input.ModelPackageGroupDescription && { ModelPackageGroupDescription: input.ModelPackageGroupDescription }),
      ...{ CreationTime: seconds(createdMs), CreatedBy: userOf(by) },
    };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModelPackage.html */
  create(input: CreatePackage, by: Caller): object {
    const { ClientToken: token, ModelPackageGroupName: groupName } = input;
    if (groupName === undefined) throw invalid('this double has versioned packages only');
    // "If you supply ModelPackageGroupName … you cannot supply a tag argument" (the words: assumed).
    if (input.Tags) throw invalid('Tags are not supported for versioned model packages');
    const said = JSON.stringify(input);
    const before = token === undefined ? undefined : this.#tokens.get(token);
    // ClientToken: "guarantees that the call to this API is idempotent"; another request with it, and one whose package
    // was deleted: ConflictException (assumed; how long AWS remembers a token is on no page).
    if (before && (before.input !== said || !this.#packages.has(before.arn)))
      throw new ApiError('ConflictException', `ClientToken ${token} was used for another request`);
    if (before) return { ModelPackageArn: before.arn };
    const group = this.#group(groupName);
    group.versions += 1;
    const arn = this.#arn(`model-package/${group.name}/${group.versions}`);
    const fails = this.failNext.shift();
    this.#packages.set(arn, {
      ...{ arn, group, version: group.versions, input, createdMs: Date.now(), by },
      // dg/model-registry-approve: "A model version is created with PendingManualApproval" unless told.
      approval: input.ModelApprovalStatus ?? 'PendingManualApproval',
      ...(fails !== undefined && { fails }),
    });
    if (token !== undefined) this.#tokens.set(token, { arn, input: said });
    return { ModelPackageArn: arn };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeModelPackage.html */
  describe({ ModelPackageName }: { ModelPackageName: string }): object {
    const made = this.#package(ModelPackageName);
    const { input, group, version, arn, modified, approvalDescription } = made;
    const { ClientToken: _, ModelPackageGroupName: __, ModelApprovalStatus: ___, ...kept } = input;
    const status = this.#statusOf(made);
    return {
      ...kept,
      ...{ ModelPackageName: group.name, ModelPackageGroupName: group.name, ModelPackageVersion: version },
      ...{ ModelPackageArn: arn, CreationTime: seconds(made.createdMs), CreatedBy: userOf(made.by) },
      ...{ ModelPackageStatus: status, ModelApprovalStatus: made.approval },
      ModelPackageStatusDetails: {
        ValidationStatuses: [],
        ...(status === 'Failed' && {
          ImageScanStatuses: [{ Name: 'image', Status: 'Failed', FailureReason: made.fails }],
        }),
      },
      ...(modified && { LastModifiedTime: seconds(modified.atMs), LastModifiedBy: userOf(modified.by) }),
      ...(approvalDescription !== undefined && { ApprovalDescription: approvalDescription }),
    };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListModelPackages.html */
  list(input: {
    ModelPackageGroupName?: string;
    MaxResults?: number;
    NextToken?: string;
    SortOrder?: 'Ascending' | 'Descending';
  }): object {
    const group = input.ModelPackageGroupName === undefined ? undefined : this.#group(input.ModelPackageGroupName);
    const all = [...this.#packages.values()].filter((made) => !group || made.group === group);
    // SortOrder: "The default is Ascending"; NextToken goes on where the last page ended (its form: assumed).
    if (input.SortOrder === 'Descending') all.reverse();
    const from = Number(input.NextToken ?? 0);
    const to = from + (input.MaxResults ?? 10);
    return {
      ModelPackageSummaryList: all.slice(from, to).map((made) => ({
        ...{ ModelPackageName: made.group.name, ModelPackageGroupName: made.group.name },
        ...{ ModelPackageVersion: made.version, ModelPackageArn: made.arn, CreationTime: seconds(made.createdMs) },
        ...(made.input.ModelPackageDescription && { ModelPackageDescription: made.input.ModelPackageDescription }),
        ...{ ModelPackageStatus: this.#statusOf(made), ModelApprovalStatus: made.approval },
      })),
      ...(to < all.length && { NextToken: String(to) }),
    };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_UpdateModelPackage.html */
  update(
    input: {
      ModelPackageArn: string;
      ModelApprovalStatus?: Approval;
      ApprovalDescription?: string;
      CustomerMetadataProperties?: Record<string, string>;
    },
    by: Caller,
  ): object {
    const made = this.#package(input.ModelPackageArn);
    // Errors of API_UpdateModelPackage: ConflictException "conflict when you attempt to modify"; while it is Pending: assumed.
    if (this.#statusOf(made) === 'Pending')
      throw new ApiError('ConflictException', `Model package ${made.arn} is in status Pending`);
    if (input.ModelApprovalStatus) made.approval = input.ModelApprovalStatus;
    if (input.ApprovalDescription !== undefined) made.approvalDescription = input.ApprovalDescription;
    if (input.CustomerMetadataProperties)
      made.input.CustomerMetadataProperties = {
        ...made.input.CustomerMetadataProperties,
        ...input.CustomerMetadataProperties,
      };
    made.modified = { atMs: Date.now(), by };
    return { ModelPackageArn: made.arn };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteModelPackage.html */
  delete({ ModelPackageName }: { ModelPackageName: string }): object {
    this.#packages.delete(this.#package(ModelPackageName).arn);
    return {};
  }

  /** ARNs, oldest first. */
  get arns(): string[] {
    return [...this.#packages.keys()];
  }

  /** Tokens are remembered for a while only (how long: assumed). */
  forgetTokens(): void {
    this.#tokens.clear();
  }

  #arn(resource: string): string {
    return `arn:aws:sagemaker:${this.#rules.region}:${this.#rules.account}:${resource}`;
  }

  /** By name or ARN; what is unknown: a ValidationException in these words (assumed). */
  #group(nameOrArn: string): Group {
    const group = this.#groups.get(nameOrArn.replace(/^arn:.*:model-package-group\//, ''));
    if (!group) throw invalid(`ModelPackageGroup ${this.#arn(`model-package-group/${nameOrArn}`)} does not exist.`);
    return group;
  }

  #package(arn: string): Package {
    const made = this.#packages.get(arn);
    if (!made) throw invalid(`ModelPackage ${arn} does not exist.`);
    return made;
  }

  /** States: ModelPackageStatus of API_DescribeModelPackage. */
  #statusOf({ createdMs, fails }: Package): PackageStatus {
    if (Date.now() - createdMs < this.#rules.settlesMs) return 'Pending';
    return fails === undefined ? 'Completed' : 'Failed';
  }
}
