import { type Matrix, type MatrixValue, marks, markWords, shown, standingsIn } from './matrix.ts';

const size = { cell: 76, row: 26, left: 70, top: 78, right: 16, line: 20 };

/** From worse to better; each cell has its number too, so colour alone carries nothing. */
const colors = ['#f8c9b8', '#fbe3c8', '#f3f0d0', '#d5e8d0', '#aed8bf'] as const;

/** A backtest as a picture: versions down, periods across. Text comes from names and numbers alone, none needs escaping. */
export function matrixSvg(model: string, matrix: Matrix): string {
  const { metric, lowerIsBetter, periods, versions } = matrix;
  const legend = standingsIn(matrix);
  const width = size.left + Math.max(8, periods.length) * size.cell + size.right;
  const legendTop = size.top + versions.length * size.row + 30;
  const height = legendTop + legend.length * size.line + 4;
  const color = scaleOf(matrix);
  const x = (p: number): number => size.left + p * size.cell;
  const y = (v: number): number => size.top + v * size.row;
  const cell = (value: MatrixValue | null, v: number, p: number): string => {
    const box = `x="${x(p) + 1}" y="${y(v) + 1}" width="${size.cell - 2}" height="${size.row - 2}" rx="3"`;
    if (!value) return `<rect class="none" ${box}/>`;
    const words = `version ${versions[v]!.version}, ${periods[p]}: ${shown(value)} on ${value.rows} rows; ${markWords[value.standing]}`;
    return (
      `<g><title>${words}</title><rect class="${value.standing}" fill="${color(value.value)}" ${box}/>` +
      `<text class="value" x="${x(p) + size.cell / 2}" y="${y(v) + 17}">${shown(value)}${marks[value.standing]}</text></g>`
    );
  };
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title">
<title id="title">${model}: ${metric} of every version on every period of the hold-out</title>
<style>
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2937 }
  .ground { fill: #ffffff; stroke: #d1d5db } .head { font-size: 16px; font-weight: 600 } .quiet { fill: #4b5563 }
  .middle, .value { text-anchor: middle } .end { text-anchor: end } .none { fill: #f3f4f6 }
  .trainedOn { stroke: #c92a2a; stroke-width: 2 } .ahead { stroke: #1864ab; stroke-width: 2 }
</style>
<rect class="ground" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>
<text class="head" x="16" y="30">${model}: ${metric}, ${lowerIsBetter ? 'lower' : 'higher'} is better</text>
${periods.map((period, p) => `<text class="middle quiet" x="${x(p) + size.cell / 2}" y="${size.top - 10}">${period}</text>`).join('\n')}
${versions.map(({ version }, v) => `<text class="end quiet" x="${size.left - 10}" y="${y(v) + 17}">v${version}</text>`).join('\n')}
${versions.map(({ values }, v) => values.map((value, p) => cell(value, v, p)).join('\n')).join('\n')}
${legend.map((standing, i) => `<text class="quiet" x="16" y="${legendTop + i * size.line}">0.99${marks[standing]}  ${standing === 'ahead' ? '(framed blue) ' : ''}${markWords[standing]}</text>`).join('\n')}
</svg>
`;
}

/** Fifths between the worst and the best number of the picture. */
function scaleOf({ versions, lowerIsBetter }: Matrix): (value: number | null) => string {
  const values = versions.flatMap((version) => version.values.flatMap((value) => value?.value ?? []));
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  return (value) => {
    if (value === null) return '#f3f4f6';
    const share = highest > lowest ? (value - lowest) / (highest - lowest) : 1;
    const goodness = lowerIsBetter && highest > lowest ? 1 - share : share;
    return colors[Math.min(colors.length - 1, Math.floor(goodness * colors.length))]!;
  };
}
