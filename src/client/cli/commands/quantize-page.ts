import type { QuantizeDocument } from './quantize-document.ts';
import type { ActivationHistogram } from './quantize-histogram.ts';
import { errorBars, frontPlot, histogramPlot, pointsOf, text } from './quantize-plots.ts';
import type { WeightHistogram } from './quantize-report.ts';
import { decibels, layerName, points } from './quantize-words.ts';

/** The report as one file: it opens from a disk, years later, without a network. */
export function quantizePage(
  document: QuantizeDocument,
  weights: readonly WeightHistogram[],
  activations: readonly ActivationHistogram[],
): string {
  const { model, output, sizeBefore, sizeBytes, search, options, instructionSet, seconds } = document;
  const title = `${text(output.split('/').at(-1)!)}: int8 of ${text(model.split('/').at(-1)!)}`;
  const facts: [string, string][] = [
    [
      'size',
      `${(sizeBytes / 1e6).toFixed(2)} MB, ${(sizeBefore / sizeBytes).toFixed(2)} times smaller than ${(sizeBefore / 1e6).toFixed(2)} MB`,
    ],
    [
      'weights',
      `${options.weightBits} bits, ${options.perChannel ? 'a scale per output channel' : 'one scale a matrix'}`,
    ],
    ['measured on', instructionSet],
    ['took', `${seconds.toFixed(1)} s`],
    ...(search ? searchFacts(search) : []),
  ];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${style}</style>
<h1>${title}</h1>
<table class="facts">${facts.map(([name, value]) => `<tr><th>${name}</th><td>${value}</td></tr>`).join('\n')}</table>
${frontSection(document)}
${errorSection(document)}
${histogramSection(
  'Activations that are quantized as they come',
  'Counts are logarithmic. A long, thin tail is an outlier that eats the 8 bits of everything else.',
  activations.map((a) => histogramPlot(a, a.nodes[0] ?? a.activation)),
)}
${histogramSection(
  'Weights that lost most',
  'Counts are logarithmic.',
  weights.map((w) => histogramPlot(w, w.weight)),
)}
${nodeSection(document)}
</html>
`;
}

function searchFacts({
  rows,
  quality,
  margin,
  holds,
  keptFloat,
  trials,
}: NonNullable<QuantizeDocument['search']>): [string, string][] {
  const chosen = trials.find((trial) => trial.keptFloat === keptFloat)!;
  const facts: [string, string][] = [
    [
      `${quality} lost`,
      `${points(chosen.loss)}, at most ${points(chosen.lossUpper)} with 95 % confidence, on ${rows} rows`,
    ],
    [
      'in float',
      `${keptFloat} of the most sensitive layers, after ${trials.length} trial${trials.length === 1 ? '' : 's'}`,
    ],
  ];
  if (margin !== null) facts.push(['verdict', `${holds ? 'holds' : 'does not hold'} the margin of ${points(margin)}`]);
  return facts;
}

function frontSection(document: QuantizeDocument): string {
  const { search } = document;
  if (!search) return '';
  return `<section><h2>Quality, size and latency</h2>
<p>Filled points are on the Pareto front of all three; the ring is the model that was written. The time is the median of a single row on one thread.</p>
${frontPlot(pointsOf(document), search.quality)}</section>`;
}

const mostBars = 60;

function errorSection({ layers, weights, search }: QuantizeDocument): string {
  const bars = layers
    ? layers.map((layer, i) => ({
        label: layerName(layer),
        value: layer.sqnrDb,
        isFloat: i < (search?.keptFloat ?? 0),
      }))
    : [...weights]
        .sort((a, b) => (a.error.sqnrDb ?? 1e3) - (b.error.sqnrDb ?? 1e3))
        .map(({ weight, error }) => ({ label: weight, value: error.sqnrDb, isFloat: false }));
  if (bars.length === 0) return '';
  const what = layers
    ? 'Signal to noise of every layer’s own output, all others in float; the worst first. Hollow bars stay float.'
    : 'Signal to noise of every weight; the worst first. Calibration rows would show what the layers make of it.';
  return `<section><h2>Error per layer</h2><p>${what}</p>
${errorBars(bars.slice(0, mostBars), 'Signal to noise per layer')}
${bars.length > mostBars ? `<p>and ${bars.length - mostBars} more, all better</p>` : ''}</section>`;
}

const histogramSection = (title: string, note: string, plots: readonly string[]): string =>
  plots.length === 0
    ? ''
    : `<section><h2>${title}</h2><p>${note}</p><div class="grid-of">${plots.join('\n')}</div></section>`;

function nodeSection({ nodes, weights }: QuantizeDocument): string {
  const errors = new Map(weights.map(({ weight, error }) => [weight, error.sqnrDb]));
  const rows = nodes.map((node) => {
    const outcome =
      node.outcome === 'quantized'
        ? `int8, ${node.weight
            .split(', ')
            .map((weight) => `${text(weight)} (${decibels(errors.get(weight) ?? null)})`)
            .join(', ')}`
        : `float: ${text(node.reason)}`;
    return `<tr><td>${text(node.node)}</td><td>${text(node.opType)}</td><td>${outcome}</td></tr>`;
  });
  return `<section><h2>Every node that has weights</h2>
<div class="wide"><table><tr><th>node</th><th>operator</th><th>became</th></tr>${rows.join('\n')}</table></div></section>`;
}

const style = `
:root { color-scheme: light dark; --ink: #1f2937; --quiet: #5b6472; --line: #e3e6ea; --axis: #9aa3af; --ground: #ffffff; --mark: #1c6fd0; --off: #b6bec8 }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e7eb; --quiet: #9ca3af; --line: #262c36; --axis: #566070; --ground: #0d1117; --mark: #58a6ff; --off: #4b5563 } }
body { margin: 2rem auto; max-width: 900px; padding: 0 1rem; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2.2rem 0 .2rem } p { margin: .2rem 0 .8rem; color: var(--quiet) }
table { border-collapse: collapse; font-size: 13px } th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
.facts th { font-weight: normal; color: var(--quiet) } .wide { overflow-x: auto }
svg { max-width: 100%; height: auto } svg text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink) }
svg .quiet { fill: var(--quiet); font-size: 11px } svg .middle { text-anchor: middle } svg .end { text-anchor: end }
svg .grid { stroke: var(--line) } svg .axis { stroke: var(--axis) } svg .int8 { fill: var(--mark) } svg .off { fill: var(--ground); stroke: var(--mark); stroke-width: 1.5 }
svg .float { fill: none; stroke: var(--mark); stroke-width: 1.2 } svg .line { fill: none; stroke: var(--mark); stroke-width: 1.5; opacity: .5 }
svg .ring { fill: none; stroke: var(--ink); stroke-width: 1.5 } svg .leader { stroke: var(--off); stroke-width: .8 }
.grid-of { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: .6rem }
`;
