import type { Attribute, Tensor } from '../model.ts';

/** Attributes as one writes them. A bare number is an int, the commoner kind; a float is written `{ float: 0.5 }`. */
export type AttributeInput =
  | number
  | string
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly ints: readonly number[] }
  | { readonly tensor: Tensor };

const utf8 = new TextEncoder();

export function attributesOf(input: Readonly<Record<string, AttributeInput>>): Attribute[] {
  return Object.entries(input).map(([name, value]) => attributeOf(name, value));
}

function attributeOf(name: string, value: AttributeInput): Attribute {
  if (typeof value === 'number') return { name, type: 'int', value };
  if (typeof value === 'string') return { name, type: 'string', value: utf8.encode(value) };
  if ('float' in value) return { name, type: 'float', value: value.float };
  if ('floats' in value) return { name, type: 'floats', value: value.floats };
  if ('ints' in value) return { name, type: 'ints', value: value.ints };
  return { name, type: 'tensor', value: value.tensor };
}
