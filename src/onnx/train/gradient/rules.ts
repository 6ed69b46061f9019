import { intAttribute } from '../../attribute.ts';
import { dataTypeCode } from '../../data-type.ts';
import type { Node } from '../../model.ts';
import { activationRules } from './activations.ts';
import { elementwiseRules } from './elementwise.ts';
import { linearRules } from './linear.ts';
import { moveRules } from './moves.ts';
import { normalizationRules } from './normalization.ts';
import { reductionRules } from './reductions.ts';
import type { Rule } from './rule.ts';

const rules: ReadonlyMap<string, Rule> = new Map(
  Object.entries({
    ...elementwiseRules,
    ...activationRules,
    ...linearRules,
    ...reductionRules,
    ...normalizationRules,
    ...moveRules,
  }),
);

/** The operators that `differentiate` can go through, by name. */
export const differentiableOperators: readonly string[] = [...rules.keys()].sort();

const passesOn: Rule = ({ dy }) => [() => dy];

/** How a node's gradient is made; undefined for an operator that has none here. */
export function ruleOf(node: Node): Rule | undefined {
  if (node.domain === 'com.microsoft' && node.opType === 'Gelu') return rules.get('Gelu');
  if (node.domain !== '') return undefined;
  // A Cast from float32 to itself is what some exporters leave behind; any other one ends the slope or changes precision.
  if (node.opType === 'Cast') return intAttribute(node, 'to', 0) === dataTypeCode('float32') ? passesOn : undefined;
  if (node.opType === 'Gelu' && node.attributes.some(({ name }) => name === 'approximate')) return undefined;
  return rules.get(node.opType);
}
