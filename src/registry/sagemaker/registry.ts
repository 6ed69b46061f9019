import type { DescribeModelPackageCommandOutput, ModelApprovalStatus, UserContext } from '@aws-sdk/client-sagemaker';
import type { Digest } from '../../contracts/digest.ts';
import type { Approvers, Registrable } from '../../contracts/messages.ts';
import type { SageMakerRegistryTarget } from '../../contracts/sagemaker-target.ts';
import { canonicalBytes } from '../../store/canonical-json.ts';
import type { Store } from '../../store/types.ts';
import { approverOf } from './approver.ts';
import { type Candidate, readCandidate } from './candidate.ts';
import { PackageNotReady, RegistryRefused } from './errors.ts';
import type { LineageApi } from './lineage-api.ts';
import { blobUri, type ModelData, type StorePlace } from './model-data.ts';
import { modelQuality } from './model-quality.ts';
import { groupName, lineageName, packageToken } from './names.ts';
import type { PackageApi } from './package-api.ts';
import {
  approvalDescription,
  isDescribedAs,
  metadataKeys,
  metadataValue,
  packageRequest,
  storeTag,
} from './package-request.ts';

export interface SageMakerRegistryOptions {
  target: SageMakerRegistryTarget;
  store: Store;
  place: StorePlace;
  packages: PackageApi;
  lineage: LineageApi;
  modelData: ModelData;
  /** ARN of the training job of a job that ran on this target. */
  trainingJobArn: (jobName: string) => string;
  /** `sagemaker:<target>`. */
  name: string;
  log?: (event: string, fields: Record<string, string | number>) => void;
}

/** What SageMaker says of a package's approval. */
export interface PackageApproval {
  status: ModelApprovalStatus;
  description: string;
  who: UserContext | undefined;
  /** When it was last changed; 0: never. */
  changedMs: number;
}

/** ARNs of a candidate's way, by part. */
export interface TracedLineage {
  dataset: string;
  training: string;
  model: string;
  endpoint?: string;
}

/** A token is used up by a package that was deleted behind our back; so many deletions are survived. */
const tokensToTry = 4;

/**
 * SageMaker's model registry as a mirror of ours. Everything is looked up before it is made, so each method may be repeated
 * by any process at any time. Throws `RegistryRefused`, `AwsRefused` and `AwsUnavailable`.
 */
export class SageMakerRegistry {
  readonly #options: SageMakerRegistryOptions;

  constructor(options: SageMakerRegistryOptions) {
    this.#options = options;
  }

  group(model: string): string {
    return groupName(model, this.#options.target.prefix);
  }

  /**
   * The one package of a candidate, Completed; it is made where there is none.
   *
   * @throws PackageNotReady while SageMaker is still making it
   */
  async publish(registrable: Registrable): Promise<string> {
    const { packages, log } = this.#options;
    const group = this.group(registrable.model);
    const groupArn = await this.#ensureGroup(group, registrable.model);
    let arn = await this.#find(group, registrable.candidate);
    if (arn === undefined) {
      arn = await this.#create(group, groupArn, registrable);
      log?.('registry.created', { package: arn, digest: registrable.candidate });
    }
    const made = await packages.describe(arn);
    switch (made?.ModelPackageStatus) {
      case 'Completed':
        return arn;
      case 'Failed':
        throw new RegistryRefused(
          `${arn}: SageMaker could not make it: ${failureOf(made)}; delete it there to try again`,
        );
      default:
        throw new PackageNotReady(`${arn} is ${made?.ModelPackageStatus ?? 'not there yet'}`);
    }
  }

  /** Looks at a package that waits come so often. */
  get pollMs(): number {
    return this.#options.target.pollMs;
  }

  /** Under which name the one who decided is judged. */
  approver({ who }: PackageApproval, approvers: Approvers): string {
    return approverOf(who, approvers);
  }

  /** Undefined when the package was deleted. */
  async approval(packageArn: string): Promise<PackageApproval | undefined> {
    const found = await this.#options.packages.describe(packageArn);
    return (
      found && {
        status: found.ModelApprovalStatus ?? 'PendingManualApproval',
        description: found.ApprovalDescription ?? '',
        who: found.LastModifiedBy,
        changedMs: found.LastModifiedTime?.getTime() ?? 0,
      }
    );
  }

  /** Nothing is sent when it already says so. */
  async setApproval(
    packageArn: string,
    status: ModelApprovalStatus,
    { by, reason, version }: { by: string; reason: string; version?: number },
  ): Promise<void> {
    const description = approvalDescription(`${by}: ${reason}`);
    const now = await this.approval(packageArn);
    if (!now) throw new RegistryRefused(`${packageArn} was deleted in SageMaker: its approval cannot be written there`);
    if (now.status === status && now.description === description) return;
    await this.#options.packages.update(packageArn, status, description, {
      [metadataKeys.by]: metadataValue(by),
      ...(version !== undefined && { [metadataKeys.version]: String(version) }),
    });
  }

  /** Dataset → training → model, and → endpoint where it serves. */
  async trace(registrable: Registrable, packageArn: string, endpoint: string | null): Promise<TracedLineage> {
    const { store, place, lineage, trainingJobArn, name } = this.#options;
    const { model, dataset, run, runsOn } = await readCandidate(store, registrable);
    const job = `${run.job}/${run.attempts}`;
    const artifact = await lineage.artifact({
      ArtifactName: lineageName(store.url, 'dataset', model.dataset),
      Source: {
        SourceUri: blobUri(place, model.dataset),
        SourceTypes: [{ SourceIdType: 'Custom', Value: model.dataset }],
      },
      ArtifactType: 'DataSet',
      Properties: { loop: dataset.loop, rows: String(dataset.rowCount) },
    });
    const training = await lineage.action({
      ActionName: lineageName(store.url, 'training', job),
      ActionType: 'ModelTraining',
      Source:
        runsOn === name
          ? { SourceUri: trainingJobArn(job), SourceType: 'ARN', SourceId: job }
          : { SourceUri: `goto3:job/${job}`, SourceType: 'goto3', SourceId: job },
      Status: 'Completed',
      Properties: { loop: registrable.loop, cycle: String(registrable.n), runsOn: runsOn ?? 'local' },
    });
    const trained = await lineage.artifact({
      ArtifactName: lineageName(store.url, 'model', packageArn),
      Source: { SourceUri: packageArn, SourceTypes: [{ SourceIdType: 'Custom', Value: registrable.candidate }] },
      ArtifactType: 'Model',
      Properties: { model: registrable.model, precision: model.precision },
    });
    await lineage.associate(artifact, training, 'ContributedTo');
    await lineage.associate(training, trained, 'Produced');
    if (endpoint === null) return { dataset: artifact, training, model: trained };
    const serving = await lineage.context({
      ContextName: lineageName(store.url, 'endpoint', endpoint),
      ContextType: 'Endpoint',
      Source: { SourceUri: `goto3:endpoint/${endpoint}`, SourceType: 'goto3', SourceId: endpoint },
    });
    await lineage.associate(trained, serving, 'ContributedTo');
    return { dataset: artifact, training, model: trained, endpoint: serving };
  }

  async #ensureGroup(name: string, model: string): Promise<string> {
    const { packages, store } = this.#options;
    if (!(await packages.group(name)))
      await packages.createGroup({
        ModelPackageGroupName: name,
        ModelPackageGroupDescription: `Versions of ${model}, registered by goto3`,
        Tags: [{ Key: storeTag, Value: metadataValue(store.url) }],
      });
    const group = await packages.group(name);
    if (!group) throw new RegistryRefused(`model package group ${name} is taken in SageMaker, and cannot be described`);
    const owner = group.tags.get(storeTag);
    if (owner !== metadataValue(store.url))
      throw new RegistryRefused(
        `model package group ${name} ${owner === undefined ? `has no tag ${storeTag}` : `holds the models of ${owner}`}: set "registry.prefix" of the target, or tag the group ${storeTag}=${metadataValue(store.url)}`,
      );
    return group.arn;
  }

  /** By the digest in our description, and then by our metadata. */
  async #find(group: string, candidate: Digest): Promise<string | undefined> {
    const { packages } = this.#options;
    for await (const { ModelPackageArn: arn, ModelPackageDescription } of packages.list(group)) {
      if (!isDescribedAs(ModelPackageDescription, candidate)) continue;
      const found = await packages.describe(arn!);
      if (found?.CustomerMetadataProperties?.[metadataKeys.model] === candidate) return arn;
    }
    return undefined;
  }

  async #create(group: string, groupArn: string, registrable: Registrable): Promise<string> {
    const { store, place, packages, modelData, target } = this.#options;
    const found = await readCandidate(store, registrable);
    const request = packageRequest(registrable, found, target, {
      modelData: await modelData.layOut(registrable.candidate, found.model.files),
      ...(await this.#reports(found, place)),
    });
    for (let attempt = 1; ; attempt += 1) {
      const ClientToken = packageToken(`${groupArn}\0${attempt}`, registrable.candidate);
      try {
        return await packages.create({ ...request, ModelPackageGroupName: group, ClientToken });
      } catch (error) {
        if ((error as Error).name !== 'ConflictException' || attempt === tokensToTry) throw error;
        // Made meanwhile by another build of ours, or made and deleted.
        const adopted = await this.#find(group, registrable.candidate);
        if (adopted !== undefined) return adopted;
      }
    }
  }

  async #reports({ evaluation, evaluationDigest: digest, model }: Candidate, place: StorePlace) {
    const { blobs } = this.#options.store;
    const quality = await blobs.put(canonicalBytes(modelQuality(evaluation, model.signature.task)));
    return {
      quality: { uri: blobUri(place, quality), digest: quality },
      evaluation: { uri: blobUri(place, digest), digest },
    };
  }
}

function failureOf({ ModelPackageStatusDetails: details }: DescribeModelPackageCommandOutput): string {
  const statuses = [...(details?.ImageScanStatuses ?? []), ...(details?.ValidationStatuses ?? [])];
  return (
    statuses
      .map(({ FailureReason }) => FailureReason)
      .filter(Boolean)
      .join('; ') || 'it does not say why'
  );
}
