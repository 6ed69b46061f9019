import type { LineageGap, LineageNode } from '../../store/lineage.ts';
import type { Paint } from './output.ts';

/** Two lines per ancestor, nearest first, with its distance; what cannot be read is said where it is missing. */
export function lineageLines(nodes: readonly (LineageNode | LineageGap)[], paint: Paint): string {
  return nodes
    .map((node) => {
      const text = 'summary' in node ? node.summary : paint.red(node.detail);
      return `${node.distance}  ${paint.bold(node.kind)}  ${text}\n   ${paint.dim(node.digest)}`;
    })
    .join('\n');
}
