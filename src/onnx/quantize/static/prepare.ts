import type { Graph, Model, Node } from '../../model.ts';
import { nameNodes } from '../../rewrite/names.ts';
import { valueUses } from '../../rewrite/uses.ts';
import { withoutUnusedInitializers } from './constant-inputs.ts';
import { foldBatchNorm } from './fold-batch-norm.ts';
import { fuseMatMulBias } from './fuse-matmul-bias.ts';

/**
 * The same function in the form that static quantization wants: every node named, Constant nodes as initializers, no
 * Identity and no Dropout inside, BatchNormalization folded into its Conv, MatMul and bias one Gemm. Names of nodes that stay are kept, so that
 * nodes can be excluded by the names of the model that came in.
 */
export function prepareForStatic(model: Model): Model {
  const named = nameNodes(model);
  const graph = withoutUnusedInitializers(
    fuseMatMulBias(foldBatchNorm(withoutPassers(withConstantsAsInitializers(named.graph)))),
  );
  return { ...named, graph };
}

function withConstantsAsInitializers(graph: Graph): Graph {
  const constants = graph.nodes.flatMap((node) => {
    const value = isStandard(node, 'Constant')
      ? node.attributes.find((attribute) => attribute.name === 'value')
      : undefined;
    return value?.type === 'tensor' ? [[node, { ...value.value, name: node.outputs[0]! }] as const] : [];
  });
  if (constants.length === 0) return graph;
  const gone = new Set<Node>(constants.map(([node]) => node));
  return {
    ...graph,
    nodes: graph.nodes.filter((node) => !gone.has(node)),
    initializers: [...graph.initializers, ...constants.map(([, tensor]) => tensor)],
  };
}

/** Without the nodes that hand on their input as it is; one that makes a graph output stays, for the output's name. */
function withoutPassers(graph: Graph): Graph {
  const uses = valueUses(graph);
  const stands = new Map<string, string>();
  const nodes: Node[] = [];
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => stands.get(name) ?? name);
    const [output] = node.outputs;
    if (passesOn(node, uses) && uses.get(output!)?.elsewhere !== true) stands.set(output!, inputs[0]!);
    else nodes.push(inputs.every((name, i) => name === node.inputs[i]) ? node : { ...node, inputs });
  }
  return stands.size === 0 ? graph : { ...graph, nodes };
}

function passesOn(node: Node, uses: ReturnType<typeof valueUses>): boolean {
  if (isStandard(node, 'Identity')) return true;
  // Dropout drops only in training mode, its third input; its mask is its second output.
  const mask = node.outputs[1] ?? '';
  return isStandard(node, 'Dropout') && (node.inputs[2] ?? '') === '' && (mask === '' || !uses.has(mask));
}

const isStandard = (node: Node, opType: string): boolean => node.domain === '' && node.opType === opType;
