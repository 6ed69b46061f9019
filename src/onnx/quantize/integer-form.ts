import type { Node } from '../model.ts';
import type { IntegerOps } from './integer-ops.ts';
import type { Candidate } from './plan.ts';

/** The nodes that take a candidate's place, with its outputs. */
export function integerForm(ops: IntegerOps, node: Node, candidate: Candidate): Node[] {
  if (candidate.role === 'table') return ops.gather(node, candidate);
  if (candidate.role === 'gates') return ops.lstm(node, candidate);
  return node.opType === 'Gemm' ? ops.gemm(node, candidate) : ops.matMul(node, candidate);
}
