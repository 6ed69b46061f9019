import { OnnxError } from './error.ts';
import type { Attribute, AttributeValue, Node } from './model.ts';

/** An int attribute, or the operator's default. Throws `OnnxError` for another type or a value beyond 2^53. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  const value = find(node, name, 'int')?.value;
  if (typeof value === 'bigint') throw new OnnxError(`${place(node, name)}: ${value} is beyond the safe integers`);
  return value ?? fallback;
}

/** A float attribute, or the operator's default. Throws `OnnxError` for another type. */
export function floatAttribute(node: Node, name: string, fallback: number): number {
  return find(node, name, 'float')?.value ?? fallback;
}

function find<T extends AttributeValue['type']>(
  node: Node,
  name: string,
  type: T,
): Extract<Attribute, { type: T }> | undefined {
  const attribute = node.attributes.find((candidate) => candidate.name === name);
  if (attribute === undefined) return undefined;
  if (attribute.type !== type) throw new OnnxError(`${place(node, name)}: expected ${type}, it is ${attribute.type}`);
  return attribute as Extract<Attribute, { type: T }>;
}

const place = (node: Node, name: string): string => `node "${node.name}" (${node.opType}): attribute "${name}"`;
