import { OnnxError } from '../error.ts';
import type { Node } from '../model.ts';

/** A forward graph has an operator between its weights and its loss that cannot be differentiated here. */
export class MissingGradientError extends OnnxError {
  readonly opType: string;
  /** Name of the node, or of its output where it has none. */
  readonly node: string;

  constructor(node: Node, why = 'has no gradient') {
    const name = node.name || (node.outputs[0] ?? '');
    const opType = node.domain === '' ? node.opType : `${node.domain}.${node.opType}`;
    super(`node "${name}": ${opType} ${why}`);
    this.opType = opType;
    this.node = name;
  }
}
