import { randomUUID } from 'node:crypto';
import { ApiError, invalid } from './api-error.ts';

type Kind = 'artifact' | 'action' | 'context';

export interface LineageEntity {
  kind: Kind;
  arn: string;
  name: string | undefined;
  type: string;
  source: { SourceUri: string };
  input: object;
  createdMs: number;
}

export interface LineageEdge {
  source: string;
  destination: string;
  type: string | undefined;
  createdMs: number;
}

interface Page {
  MaxResults?: number;
  NextToken?: string;
  SortOrder?: 'Ascending' | 'Descending';
}

/** Artifacts, actions, contexts and what connects them, of one account in one region. */
export class Lineage {
  readonly #rules: { account: string; region: string };
  readonly entities: LineageEntity[] = [];
  readonly edges: LineageEdge[] = [];

  constructor(rules: { account: string; region: string }) {
    this.#rules = rules;
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateArtifact.html */
  createArtifact(input: { ArtifactName?: string; ArtifactType: string; Source: { SourceUri: string } }): object {
    // No page says that a source URI is unique: a second artifact of one is made (assumed).
    return { ArtifactArn: this.#add('artifact', randomHex(), input.ArtifactName, input.ArtifactType, input) };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListArtifacts.html */
  listArtifacts(input: { SourceUri?: string; ArtifactType?: string } & Page): object {
    const found = this.entities.filter(
      ({ kind, source, type }) =>
        kind === 'artifact' &&
        (input.SourceUri ?? source.SourceUri) === source.SourceUri &&
        (input.ArtifactType ?? type) === type,
    );
    const { page, next } = cut(found, input);
    return {
      ArtifactSummaries: page.map(({ arn, name, type, source, createdMs }) => ({
        ...{ ArtifactArn: arn, ArtifactType: type, Source: source, CreationTime: createdMs / 1_000 },
        ...(name !== undefined && { ArtifactName: name }),
      })),
      ...next,
    };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateAction.html */
  createAction(input: { ActionName: string; ActionType: string; Source: { SourceUri: string } }): object {
    return {
      ActionArn: this.#add('action', input.ActionName.toLowerCase(), input.ActionName, input.ActionType, input),
    };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeAction.html */
  describeAction({ ActionName }: { ActionName: string }): object {
    const { arn, input, createdMs } = this.#named('action', ActionName);
    return { ...(input as { Tags?: unknown }), ActionArn: arn, CreationTime: createdMs / 1_000 };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateContext.html */
  createContext(input: { ContextName: string; ContextType: string; Source: { SourceUri: string } }): object {
    const { ContextName: name, ContextType: type } = input;
    return { ContextArn: this.#add('context', name.toLowerCase(), name, type, input) };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeContext.html */
  describeContext({ ContextName }: { ContextName: string }): object {
    const { arn, input, createdMs } = this.#named('context', ContextName);
    return { ...input, ContextArn: arn, CreationTime: createdMs / 1_000 };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AddAssociation.html */
  addAssociation(input: { SourceArn: string; DestinationArn: string; AssociationType?: string }): object {
    const { SourceArn: source, DestinationArn: destination } = input;
    // Errors of API_AddAssociation: ResourceNotFound.
    for (const arn of [source, destination])
      if (!this.entities.some((entity) => entity.arn === arn))
        throw new ApiError('ResourceNotFound', `Lineage entity ${arn} does not exist`, 404);
    // The same two a second time (code and words: assumed).
    if (this.edges.some((edge) => edge.source === source && edge.destination === destination))
      throw invalid(`Association between ${source} and ${destination} already exists`);
    this.edges.push({ source, destination, type: input.AssociationType, createdMs: Date.now() });
    return { SourceArn: source, DestinationArn: destination };
  }

  /** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListAssociations.html */
  listAssociations(input: { SourceArn?: string; DestinationArn?: string } & Page): object {
    const found = this.edges.filter(
      ({ source, destination }) =>
        (input.SourceArn ?? source) === source && (input.DestinationArn ?? destination) === destination,
    );
    // MaxResults: "The default value is 10".
    const { page, next } = cut(found, input);
    return {
      AssociationSummaries: page.map(({ source, destination, type, createdMs }) => ({
        ...{ SourceArn: source, DestinationArn: destination, CreationTime: createdMs / 1_000 },
        ...(type !== undefined && { AssociationType: type }),
      })),
      ...next,
    };
  }

  #add(
    kind: Kind,
    id: string,
    name: string | undefined,
    type: string,
    input: { Source: { SourceUri: string } },
  ): string {
    // "Must be unique to your account in an Amazon Web Services Region", of each of the three (code and words: assumed).
    if (name !== undefined && this.entities.some((entity) => entity.kind === kind && entity.name === name))
      throw invalid(`An ${kind} with the name ${name} already exists`);
    const arn = `arn:aws:sagemaker:${this.#rules.region}:${this.#rules.account}:${kind}/${id}`;
    this.entities.push({ kind, arn, name, type, source: input.Source, input, createdMs: Date.now() });
    return arn;
  }

  /** Errors of API_DescribeAction and API_DescribeContext: ResourceNotFound. */
  #named(kind: Kind, name: string): LineageEntity {
    const entity = this.entities.find((known) => known.kind === kind && known.name === name);
    if (!entity) throw new ApiError('ResourceNotFound', `${kind} ${name} does not exist`, 404);
    return entity;
  }
}

const randomHex = (): string => randomUUID().replaceAll('-', '');

/** The default order of these lists is descending. */
function cut<T>(all: readonly T[], { MaxResults = 10, NextToken, SortOrder }: Page): { page: T[]; next: object } {
  const sorted = SortOrder === 'Ascending' ? [...all] : all.toReversed();
  const from = Number(NextToken ?? 0);
  const to = from + MaxResults;
  return { page: sorted.slice(from, to), next: to < sorted.length ? { NextToken: String(to) } : {} };
}
