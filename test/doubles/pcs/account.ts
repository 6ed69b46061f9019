import { conflict, invalid, quotaExceeded } from './api-error.ts';
import * as checks from './checks.ts';
import { fullCluster, slurmConfiguration } from './cluster-view.ts';
import { type Cluster, Clusters, partOf, partSummary } from './clusters.ts';
import { type Clock, type ErrorInfo, type Fields, newId, Resource } from './resource.ts';

export interface AccountRules extends Clock {
  account: string;
  region: string;
  quotas: { clusters: number; nodeGroupsOfCluster: number; queuesOfCluster: number };
}
/** API_CreateCluster, `size`: nodes of a cluster. */
const nodesOf: Readonly<Record<string, number>> = { SMALL: 32, MEDIUM: 512, LARGE: 2048 };

/** The clusters of one account in one region. Each rule names its page of the PCS API Reference, or is listed in docs/aws.md. */
export class PcsAccount {
  readonly #rules: AccountRules;
  readonly #clusters = new Clusters();
  #failure: ErrorInfo | undefined;

  constructor(rules: AccountRules) {
    this.#rules = rules;
  }

  /** The next creation, update or deletion that is accepted ends in *_FAILED. */
  failNextChange(why: ErrorInfo): void {
    this.#failure = why;
  }

  /** Everything there is, for a test that counts. */
  resources(): Resource[] {
    return this.#clusters.live().flatMap(({ resource, nodeGroups, queues }) => [resource, ...nodeGroups, ...queues]);
  }

  createCluster(input: Fields): Fields {
    checks.requireMembers(input, ['clusterName', 'scheduler', 'size', 'networking']);
    checks.checkName('clusterName', input.clusterName);
    const { type, version } = input.scheduler as Fields;
    checks.checkVersion(version);
    const { subnetIds = [], securityGroupIds = [], networkType = 'IPV4' } = input.networking as Fields;
    // API_Networking: "PCS currently supports only 1 subnet in this list."
    if ((subnetIds as string[]).length !== 1) throw invalid('networking.subnetIds', 'must have one subnet');
    const name = String(input.clusterName);
    const live = this.#clusters.live();
    // ConflictException: "A cluster with the same name already exists."
    if (live.some(({ resource }) => resource.name === name))
      throw conflict('Cluster', name, 'A cluster with the same name already exists.');
    // API_CreateCluster: "There can only be 1 cluster in a Creating state per Region per account."
    if (live.some(({ resource }) => resource.status === 'CREATING'))
      throw quotaExceeded('Cluster', 'There is already a cluster in a Creating state.');
    // ServiceQuotaExceededException: "The max number of clusters … has been reached."
    if (live.length >= this.#rules.quotas.clusters) throw quotaExceeded('Cluster', 'The max number of clusters.');
    const id = newId();
    const slurm = (input.slurmConfiguration ?? {}) as Fields;
    const resource = this.#create('Cluster', `cluster/${id}`, id, name, input, {
      scheduler: { type, version },
      size: input.size,
      networking: { subnetIds, securityGroupIds, networkType },
      slurmConfiguration: this.#slurm(id, { scaleDownIdleTimeInSeconds: 600 }, slurm),
    });
    this.#clusters.add({ resource, nodeGroups: [], queues: [] });
    return { cluster: fullCluster(resource) };
  }

  getCluster(input: Fields): Fields {
    return { cluster: fullCluster(this.#clusters.find(input).resource) };
  }

  listClusters(input: Fields): Fields {
    const { page, ...next } = checks.pageOf(this.#clusters.live(), input);
    return { clusters: page.map(({ resource }) => resource.summary()), ...next };
  }

  updateCluster(input: Fields): Fields {
    const { resource, nodeGroups, queues } = this.#clusters.find(input);
    // API_UpdateCluster: "All associated resources must be in ACTIVE state."
    for (const part of [...nodeGroups, ...queues])
      if (part.status !== 'ACTIVE') throw conflict(part.type, part.id, `The ${part.type} isn't in ACTIVE status.`);
    const version = (input.scheduler as Fields | undefined)?.version;
    if (version !== undefined) checks.checkVersion(version);
    const { slurmConfiguration } = resource.fields as { slurmConfiguration: Fields };
    resource.update(
      {
        slurmConfiguration: this.#slurm(resource.id, slurmConfiguration, input.slurmConfiguration as Fields),
        ...(version !== undefined && { scheduler: { type: 'SLURM', version } }),
      },
      this.#takeFailure(),
    );
    return { cluster: fullCluster(resource) };
  }

  deleteCluster(input: Fields): Fields {
    const { resource, nodeGroups, queues } = this.#clusters.find(input);
    // API_DeleteCluster: "You must delete all queues and compute node groups … before you can delete the cluster."
    if (nodeGroups.length + queues.length > 0)
      throw conflict('Cluster', resource.id, 'The cluster still has compute node groups or queues.');
    resource.delete(this.#takeFailure());
    return {};
  }

  createNodeGroup(input: Fields): Fields {
    checks.requireMembers(input, [
      ...['computeNodeGroupName', 'subnetIds', 'iamInstanceProfileArn', 'scalingConfiguration', 'instanceConfigs'],
    ]);
    checks.checkName('computeNodeGroupName', input.computeNodeGroupName);
    checks.checkLaunchTemplate(input);
    const cluster = this.#clusters.findActive(input);
    const name = String(input.computeNodeGroupName);
    this.#checkNewPart('ComputeNodeGroup', name, cluster.nodeGroups, this.#rules.quotas.nodeGroupsOfCluster);
    this.#checkSize(cluster, input.scalingConfiguration as Fields);
    const { clusterIdentifier, computeNodeGroupName, clientToken, tags, ...given } = input;
    const group = this.#createPart(cluster, 'ComputeNodeGroup', name, input, {
      ...{ purchaseOption: 'ONDEMAND', launchTemplateMode: 'CUSTOM', ...given },
    });
    cluster.nodeGroups.push(group);
    return { computeNodeGroup: group.full() };
  }

  getNodeGroup(input: Fields): Fields {
    return { computeNodeGroup: this.#nodeGroup(input).group.full() };
  }

  listNodeGroups(input: Fields): Fields {
    const { nodeGroups } = this.#clusters.find(input);
    const { page, ...next } = checks.pageOf(nodeGroups, input);
    return { computeNodeGroups: page.map(partSummary), ...next };
  }

  updateNodeGroup(input: Fields): Fields {
    const { cluster, group } = this.#nodeGroup(input);
    if (input.scalingConfiguration) this.#checkSize(cluster, input.scalingConfiguration as Fields, group);
    const { clusterIdentifier, computeNodeGroupIdentifier, clientToken, ...given } = input;
    // API_UpdateComputeNodeGroup: an empty value removes these three, the launch template's hold again.
    const emptied = ['amiId', 'sshKeyName', 'securityGroupIds'].filter((name) => (given[name] as string)?.length === 0);
    group.update({ ...given, ...Object.fromEntries(emptied.map((name) => [name, undefined])) }, this.#takeFailure());
    return { computeNodeGroup: group.full() };
  }

  deleteNodeGroup(input: Fields): Fields {
    const { cluster, group } = this.#nodeGroup(input);
    const used = cluster.queues.some(({ fields }) =>
      (fields.computeNodeGroupConfigurations as Fields[]).some(
        ({ computeNodeGroupId }) => computeNodeGroupId === group.id,
      ),
    );
    // API_DeleteComputeNodeGroup: "You must delete all queues associated with the compute node group first."
    if (used) throw conflict('ComputeNodeGroup', group.id, 'A queue uses the compute node group.');
    group.delete(this.#takeFailure());
    return {};
  }

  createQueue(input: Fields): Fields {
    checks.requireMembers(input, ['queueName']);
    checks.checkName('queueName', input.queueName);
    const cluster = this.#clusters.findActive(input);
    const name = String(input.queueName);
    // ConflictException: "A queue already exists in a cluster."
    this.#checkNewPart('Queue', name, cluster.queues, this.#rules.quotas.queuesOfCluster);
    const queue = this.#createPart(cluster, 'Queue', name, input, {
      computeNodeGroupConfigurations: this.#groupsOf(cluster, input),
      ...(input.slurmConfiguration !== undefined && { slurmConfiguration: input.slurmConfiguration }),
    });
    cluster.queues.push(queue);
    return { queue: queue.full() };
  }

  getQueue(input: Fields): Fields {
    return { queue: this.#queue(input).queue.full() };
  }

  listQueues(input: Fields): Fields {
    const { queues } = this.#clusters.find(input);
    const { page, ...next } = checks.pageOf(queues, input);
    return { queues: page.map(partSummary), ...next };
  }

  updateQueue(input: Fields): Fields {
    const { cluster, queue } = this.#queue(input);
    queue.update(
      {
        ...(input.computeNodeGroupConfigurations !== undefined && {
          computeNodeGroupConfigurations: this.#groupsOf(cluster, input),
        }),
        ...(input.slurmConfiguration !== undefined && { slurmConfiguration: input.slurmConfiguration }),
      },
      this.#takeFailure(),
    );
    return { queue: queue.full() };
  }

  deleteQueue(input: Fields): Fields {
    this.#queue(input).queue.delete(this.#takeFailure());
    return {};
  }

  #nodeGroup(input: Fields): { cluster: Cluster; group: Resource } {
    checks.requireMembers(input, ['computeNodeGroupIdentifier']);
    const cluster = this.#clusters.find(input);
    return { cluster, group: partOf(cluster.nodeGroups, 'ComputeNodeGroup', input.computeNodeGroupIdentifier) };
  }

  #queue(input: Fields): { cluster: Cluster; queue: Resource } {
    checks.requireMembers(input, ['queueIdentifier']);
    const cluster = this.#clusters.find(input);
    return { cluster, queue: partOf(cluster.queues, 'Queue', input.queueIdentifier) };
  }

  #checkNewPart(type: string, name: string, parts: readonly Resource[], quota: number): void {
    if (parts.some((part) => part.name === name)) throw conflict(type, name, `The ${type} already exists.`);
    if (parts.length >= quota) throw quotaExceeded(type, `The max number of ${type}s of the cluster.`);
  }

  /** ServiceQuotaExceededException: "The total of maxInstances across all compute node groups has been reached." */
  #checkSize({ resource, nodeGroups }: Cluster, scaling: Fields, except?: Resource): void {
    const { minInstanceCount, maxInstanceCount } = scaling as Record<string, number>;
    if (minInstanceCount! > maxInstanceCount!) throw invalid('scalingConfiguration', 'has a minimum above its maximum');
    const others = nodeGroups.filter((group) => group !== except);
    const taken = others.reduce(
      (sum, { fields }) => sum + Number((fields.scalingConfiguration as Fields).maxInstanceCount),
      0,
    );
    if (taken + maxInstanceCount! > nodesOf[String(resource.fields.size)]!)
      throw quotaExceeded('ComputeNodeGroup', 'The total of maxInstances has been reached for the cluster.');
  }

  #groupsOf({ nodeGroups }: Cluster, input: Fields): Fields[] {
    const given = (input.computeNodeGroupConfigurations ?? []) as Fields[];
    for (const { computeNodeGroupId } of given) partOf(nodeGroups, 'ComputeNodeGroup', computeNodeGroupId);
    return given;
  }

  #createPart(cluster: Cluster, type: string, name: string, input: Fields, fields: Fields): Resource {
    const id = newId();
    const path = `cluster/${cluster.resource.id}/${type.toLowerCase()}/${id}`;
    return this.#create(type, path, id, name, input, { clusterId: cluster.resource.id, ...fields });
  }

  #create(type: string, path: string, id: string, name: string, input: Fields, fields: Fields): Resource {
    const arn = `arn:aws:pcs:${this.#rules.region}:${this.#rules.account}:${path}`;
    const tags = (input.tags ?? {}) as Record<string, string>;
    return new Resource(type, { id, arn, name, fields, tags }, this.#rules, this.#takeFailure());
  }

  #slurm(clusterId: string, before: Fields, change: Fields = {}): Fields {
    const { region, account } = this.#rules;
    return slurmConfiguration(before, change, { clusterId, region, account });
  }

  #takeFailure(): ErrorInfo | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }
}
