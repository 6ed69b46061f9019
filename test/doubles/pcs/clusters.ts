import { conflict, notFound } from './api-error.ts';
import { requireMembers } from './checks.ts';
import type { Fields, Resource } from './resource.ts';

export interface Cluster {
  resource: Resource;
  nodeGroups: Resource[];
  queues: Resource[];
}

/** What there is, found by name or id. */
export class Clusters {
  readonly #clusters: Cluster[] = [];

  add(cluster: Cluster): void {
    this.#clusters.push(cluster);
  }

  /** What has been deleted is forgotten: a later Get is ResourceNotFoundException ("… doesn't exist"). */
  live(): Cluster[] {
    const isGone = (resource: Resource) => resource.status === 'DELETING' && resource.gone;
    for (const list of [...this.#clusters]) {
      for (const parts of [list.nodeGroups, list.queues])
        for (const part of [...parts]) if (isGone(part)) parts.splice(parts.indexOf(part), 1);
      if (isGone(list.resource)) this.#clusters.splice(this.#clusters.indexOf(list), 1);
    }
    return this.#clusters;
  }

  find(input: Fields): Cluster {
    requireMembers(input, ['clusterIdentifier']);
    const id = String(input.clusterIdentifier);
    const found = this.live().find(({ resource }) => resource.id === id || resource.name === id);
    if (!found) throw notFound('Cluster', id);
    return found;
  }

  findActive(input: Fields): Cluster {
    const cluster = this.find(input);
    // ConflictException: "A cluster isn't in ACTIVE status."
    if (cluster.resource.status !== 'ACTIVE')
      throw conflict('Cluster', cluster.resource.id, "The cluster isn't in ACTIVE status.");
    return cluster;
  }
}

export function partOf(parts: readonly Resource[], type: string, identifier: unknown): Resource {
  const found = parts.find(({ id, name }) => id === identifier || name === identifier);
  if (!found) throw notFound(type, String(identifier));
  return found;
}

export const partSummary = (part: Resource): Fields => ({ ...part.summary(), clusterId: part.fields.clusterId });
