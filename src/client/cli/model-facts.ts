import type { Digest } from '../../contracts/digest.ts';
import type { MetricValue } from '../../contracts/manifests.ts';
import { refNames } from '../../contracts/names.ts';
import { getManifest, type ManifestOf } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { findReport } from '../cycle-reports.ts';
import { championAt, type ModelVersion, modelNames, modelVersion, versionOfDigest } from '../models.ts';

export interface ModelSummary {
  model: string;
  versions: number;
  /** Version numbers; null where there is none. */
  champion: number | null;
  anchor: number | null;
  approvedAt: string;
}

export async function listModels(store: Store): Promise<ModelSummary[]> {
  const models: ModelSummary[] = [];
  for await (const model of modelNames(store)) {
    const newest = await modelVersion(store, model);
    const anchor = await store.refs.read(refNames.anchor(model));
    models.push({
      model,
      versions: newest.version,
      champion: (await championAt(store, model))?.version ?? null,
      anchor: (anchor && (await versionOfDigest(store, model, anchor.digest))) ?? null,
      approvedAt: newest.approvedAt,
    });
  }
  return models;
}

export interface VersionFacts extends ModelVersion {
  champion: boolean;
  manifest: ManifestOf<'Model'>;
  /** The metrics of its cycle's report; null when the cycle left none. */
  evaluation: Record<string, MetricValue> | null;
}

export async function versionFacts(store: Store, model: string, version: number): Promise<VersionFacts> {
  const known = await modelVersion(store, model, version);
  const manifest = await getManifest(store, known.digest, 'Model');
  const champion = await store.refs.read(refNames.champion(model));
  return {
    ...known,
    champion: champion?.digest === known.digest,
    manifest,
    evaluation: await metricsOf(store, manifest, known.digest),
  };
}

async function metricsOf(
  store: Store,
  { loop, cycle }: ManifestOf<'Model'>,
  digest: Digest,
): Promise<Record<string, MetricValue> | null> {
  const stored = await findReport(store, loop, cycle);
  return stored?.report.candidate === digest ? (stored.report.metrics ?? null) : null;
}
