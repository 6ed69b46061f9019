import { writeFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { floatsOf } from '../../../onnx/floats.ts';
import type { Model } from '../../../onnx/model.ts';
import { Scope } from '../../../onnx/quantize/constants.ts';
import { nameNodes } from '../../../onnx/rewrite/names.ts';
import type { QuantizeDocument } from './quantize-document.ts';
import { type ActivationHistogram, type Histogram, histogramOf } from './quantize-histogram.ts';
import { quantizePage } from './quantize-page.ts';

export type WeightHistogram = Histogram & { readonly weight: string };

/** So many pictures of weights and of activations: the worst ones. */
const mostHistograms = 12;

/** Writes the page, and the document with the histograms as JSON beside it. */
export async function writeReport(
  page: string,
  document: QuantizeDocument,
  float: Model,
  allActivations: readonly ActivationHistogram[],
): Promise<void> {
  const weights = weightHistograms(document, float);
  const order = new Map((document.layers ?? []).flatMap(({ nodes }, i) => nodes.map((node) => [node, i] as const)));
  const rank = ({ nodes }: ActivationHistogram): number => Math.min(...nodes.map((node) => order.get(node) ?? 1e9));
  const activations = [...allActivations].sort((a, b) => rank(a) - rank(b)).slice(0, mostHistograms);
  await writeFile(page, quantizePage(document, weights, activations));
  const json = page.slice(0, page.length - extname(page).length);
  await writeFile(
    `${json}.json`,
    `${JSON.stringify({ ...document, weightHistograms: weights, activations }, undefined, 2)}\n`,
  );
}

/** Of the weights that lost most. */
function weightHistograms({ weights }: QuantizeDocument, float: Model): WeightHistogram[] {
  const worst = [...weights].sort((a, b) => (a.error.sqnrDb ?? 1e3) - (b.error.sqnrDb ?? 1e3)).slice(0, mostHistograms);
  const scopes = [...new Scope(nameNodes(float).graph).all()];
  return worst.flatMap(({ weight }) => {
    const view = scopes.map((scope) => scope.views.get(weight)).find((found) => found !== undefined);
    const histogram = view && histogramOf(floatsOf(view.constant.tensor));
    return histogram ? [{ weight, ...histogram }] : [];
  });
}
