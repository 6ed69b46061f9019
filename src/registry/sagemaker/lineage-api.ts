import {
  AddAssociationCommand,
  type AssociationEdgeType,
  CreateActionCommand,
  type CreateActionCommandInput,
  CreateArtifactCommand,
  type CreateArtifactCommandInput,
  CreateContextCommand,
  type CreateContextCommandInput,
  DescribeActionCommand,
  DescribeContextCommand,
  ListArtifactsCommand,
  ListAssociationsCommand,
  type SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import type { AwsCaller } from '../../aws/caller.ts';
import { isAbsent, isTaken, RegistryRefused } from './errors.ts';
import { unless } from './package-api.ts';

/** Entities of SageMaker's lineage, each looked up before it is made: none of these calls has a token. */
export class LineageApi {
  readonly #client: SageMakerClient;
  readonly #caller: AwsCaller;

  constructor(client: SageMakerClient, caller: AwsCaller) {
    this.#client = client;
    this.#caller = caller;
  }

  /**
   * The oldest artifact of this source, whoever made it: SageMaker makes some by itself. Ours has a name of its own, so that
   * there are never two.
   */
  async artifact(input: CreateArtifactCommandInput): Promise<string> {
    const before = await this.#artifactOf(input.Source!.SourceUri!);
    if (before) return before;
    const made = await this.#caller.call('sagemaker:CreateArtifact', () =>
      unless(isTaken, this.#client.send(new CreateArtifactCommand(input))),
    );
    return required(input.ArtifactName!, made?.ArtifactArn ?? (await this.#artifactOf(input.Source!.SourceUri!)));
  }

  /** The action of this name; made when there is none. */
  async action(input: CreateActionCommandInput): Promise<string> {
    const ActionName = input.ActionName!;
    const find = async () =>
      await this.#caller.call('sagemaker:DescribeAction', () =>
        unless(isAbsent, this.#client.send(new DescribeActionCommand({ ActionName }))),
      );
    const create = async () =>
      await this.#caller.call('sagemaker:CreateAction', () =>
        unless(isTaken, this.#client.send(new CreateActionCommand(input))),
      );
    return required(ActionName, (await find())?.ActionArn ?? (await create())?.ActionArn ?? (await find())?.ActionArn);
  }

  /** The context of this name; made when there is none. */
  async context(input: CreateContextCommandInput): Promise<string> {
    const ContextName = input.ContextName!;
    const find = async () =>
      await this.#caller.call('sagemaker:DescribeContext', () =>
        unless(isAbsent, this.#client.send(new DescribeContextCommand({ ContextName }))),
      );
    const create = async () =>
      await this.#caller.call('sagemaker:CreateContext', () =>
        unless(isTaken, this.#client.send(new CreateContextCommand(input))),
      );
    return required(
      ContextName,
      (await find())?.ContextArn ?? (await create())?.ContextArn ?? (await find())?.ContextArn,
    );
  }

  /** Connects two, once. */
  async associate(SourceArn: string, DestinationArn: string, AssociationType: AssociationEdgeType): Promise<void> {
    const { AssociationSummaries = [] } = await this.#caller.call('sagemaker:ListAssociations', () =>
      this.#client.send(new ListAssociationsCommand({ SourceArn, DestinationArn, MaxResults: 1 })),
    );
    if (AssociationSummaries.length > 0) return;
    await this.#caller.call('sagemaker:AddAssociation', () =>
      unless(isTaken, this.#client.send(new AddAssociationCommand({ SourceArn, DestinationArn, AssociationType }))),
    );
  }

  async #artifactOf(SourceUri: string): Promise<string | undefined> {
    const { ArtifactSummaries = [] } = await this.#caller.call('sagemaker:ListArtifacts', () =>
      this.#client.send(
        new ListArtifactsCommand({ SourceUri, SortBy: 'CreationTime', SortOrder: 'Ascending', MaxResults: 1 }),
      ),
    );
    return ArtifactSummaries[0]?.ArtifactArn;
  }
}

/** A name that is taken and cannot be described was deleted in between, or is hidden from us. */
function required(name: string, arn: string | undefined): string {
  if (arn === undefined) throw new RegistryRefused(`${name} is taken in SageMaker's lineage, and cannot be described`);
  return arn;
}
