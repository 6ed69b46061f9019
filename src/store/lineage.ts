import type { Digest } from '../contracts/digest.ts';
import type { Manifest } from '../contracts/manifests.ts';
import { CorruptBlob, InvalidInput, NotFound } from './errors.ts';
import { getAnyManifest } from './manifests.ts';
import type { Store } from './types.ts';

export interface LineageNode {
  digest: Digest;
  /** Steps from the start of the walk, along the shortest way. */
  distance: number;
  kind: Manifest['kind'];
  /** One line for people, from the manifest's own fields. */
  summary: string;
  parents: Digest[];
  createdAt: string;
}

/** An ancestor that cannot be read; the walk goes on without it. */
export interface LineageGap {
  digest: Digest;
  distance: number;
  kind: 'missing' | 'corrupt' | 'notAManifest';
  detail: string;
}

/**
 * A manifest and all its ancestors, nearest first, each once. What is missing or damaged is an item of the walk, not an
 * error: lineage is asked for most when something is wrong.
 */
export async function* lineage(store: Pick<Store, 'blobs'>, start: Digest): AsyncIterable<LineageNode | LineageGap> {
  const seen = new Set<Digest>([start]);
  let generation: Digest[] = [start];
  for (let distance = 0; generation.length > 0; distance += 1) {
    const next: Digest[] = [];
    for (const digest of generation) {
      const item = await inspect(store, digest, distance);
      yield item;
      for (const parent of 'parents' in item ? item.parents : []) {
        if (seen.has(parent)) continue;
        seen.add(parent);
        next.push(parent);
      }
    }
    generation = next;
  }
}

async function inspect(
  store: Pick<Store, 'blobs'>,
  digest: Digest,
  distance: number,
): Promise<LineageNode | LineageGap> {
  try {
    const manifest = await getAnyManifest(store, digest);
    const { kind, parents, createdAt } = manifest;
    return { digest, distance, kind, summary: summarise(manifest), parents, createdAt };
  } catch (error) {
    const gap = (kind: LineageGap['kind'], { message }: Error) => ({ digest, distance, kind, detail: message });
    if (error instanceof NotFound) return gap('missing', error);
    if (error instanceof CorruptBlob) return gap('corrupt', error);
    if (error instanceof InvalidInput) return gap('notAManifest', error);
    throw error;
  }
}

export function summarise(manifest: Manifest): string {
  switch (manifest.kind) {
    case 'Base':
      return `${manifest.source}, ${manifest.modelType}, ${manifest.sizeBytes} bytes, licence ${manifest.license ?? 'unknown'}`;
    case 'Dataset':
      return `${manifest.loop}: ${manifest.rowCount} rows in ${manifest.segments.length} segments`;
    case 'Run':
      return `${manifest.job}, attempt ${manifest.attempts}`;
    case 'Model':
      return `${manifest.model} from ${manifest.loop} cycle ${manifest.cycle}, ${manifest.precision}, ${manifest.sizeBytes} bytes`;
    case 'Evaluation':
      return `on ${manifest.rowCount} rows, ${manifest.servable ? 'servable' : 'not servable'}`;
    case 'Verdict':
      return `${manifest.verdict.result}: ${manifest.verdict.reasons[0]}`;
    case 'Deployment':
      return `${manifest.endpoint}: ${manifest.outcome} (${manifest.reason})`;
    case 'CycleReport':
      return `${manifest.loop} cycle ${manifest.cycle}: ${manifest.outcome} (${manifest.detail})`;
    case 'CycleOpened':
      return `${manifest.loop} cycle ${manifest.cycle} opened: ${manifest.reason}`;
    case 'Registration':
      return `${manifest.package}: ${manifest.approval}`;
  }
}
