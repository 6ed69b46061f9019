import type { LayerError } from '../../../onnx/quantize/sensitivity.ts';
import type { QuantizeDocument } from './quantize-document.ts';

/** The document for people. */
export function inWords(document: QuantizeDocument, page: string | undefined): string {
  const { output, sizeBefore, sizeBytes, nodes, instructionSet, options, seconds, search, layers } = document;
  const quantized = nodes.filter(({ outcome }) => outcome === 'quantized').length;
  const skipped = nodes.flatMap((node) => (node.outcome === 'skipped' ? [`  ${node.node}: ${node.reason}`] : []));
  const lines = [
    `${output}: ${megabytes(sizeBytes)}, ${(sizeBefore / sizeBytes).toFixed(2)} times smaller than ${megabytes(sizeBefore)}`,
    `${quantized} nodes are int8 with ${options.weightBits}-bit weights, ${nodes.length - quantized} stay float; ${seconds.toFixed(1)} s on ${instructionSet}`,
  ];
  if (skipped.length > 0) lines.push('stays float:', ...skipped.slice(0, 8), ...more(skipped.length - 8));
  if (layers) {
    const worst = layers.slice(0, 5).map((layer) => `  ${layerName(layer)}: ${decibels(layer.sqnrDb)}`);
    lines.push('most sensitive layers (signal to noise of their output):', ...worst);
  }
  if (search) lines.push(...searchInWords(search));
  if (page !== undefined) lines.push(`report: ${page}`);
  return lines.join('\n');
}

function searchInWords(search: NonNullable<QuantizeDocument['search']>): string[] {
  const chosen = search.trials.find(({ keptFloat }) => keptFloat === search.keptFloat)!;
  const { loss, lossUpper, latencyMs } = chosen;
  const lost = `${points(loss)} of ${search.quality} lost on ${search.rows} rows, at most ${points(lossUpper)} with 95 % confidence`;
  const speed = `a row takes ${latencyMs.toFixed(2)} ms, float ${search.float.latencyMs.toFixed(2)} ms`;
  const kept = `${search.keptFloat} of the most sensitive layers stay float, after ${search.trials.length} trials`;
  if (search.margin === null) return [lost, speed];
  const margin = `the margin is ${points(search.margin)}`;
  return [`${search.holds ? 'holds' : 'does NOT hold'}: ${lost}; ${margin}`, kept, speed];
}

const more = (count: number): string[] => (count > 0 ? [`  and ${count} more`] : []);
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`;
/** A fraction as percentage points, with two digits that say something. */
export const points = (share: number | null): string =>
  share === null ? 'an unknown part' : `${Number((100 * share).toPrecision(2))} pt`;
/** Exporters name nodes by their module's path, or by nothing but their number: then the weight says more. */
export const layerName = ({ nodes: [node = ''], weights: [weight] }: Pick<LayerError, 'nodes' | 'weights'>): string =>
  /^[A-Za-z]+_?\d*$/.test(node) && weight !== undefined ? `${weight} (${node})` : node;
export const decibels = (db: number | null): string => (db === null ? 'exact' : `${db.toFixed(1)} dB`);
