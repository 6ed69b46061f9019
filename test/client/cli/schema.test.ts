import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { loopJsonSchema } from '../../../src/client/cli/loop-schema.ts';

interface Schema {
  type?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  propertyNames?: Schema;
  items?: Schema;
  minItems?: number;
  pattern?: string;
  [keyword: string]: unknown;
}

/** As much of JSON Schema as ours uses; a keyword that it does not know fails the test. */
const known = new Set(
  'type const enum anyOf properties required additionalProperties propertyNames items minItems pattern $schema title description default examples minLength maxLength minimum maximum exclusiveMinimum'.split(
    ' ',
  ),
);

function problems(schema: Schema, value: unknown, path = '$'): string[] {
  for (const keyword of Object.keys(schema))
    assert.ok(known.has(keyword), `${path}: the test does not know "${keyword}"`);
  if (schema.anyOf)
    return schema.anyOf.some((one) => problems(one, value, path).length === 0) ? [] : [`${path}: anyOf`];
  if (schema.const !== undefined && value !== schema.const) return [`${path}: const`];
  if (schema.enum && !schema.enum.includes(value)) return [`${path}: enum`];
  const type = Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
  if (schema.type && schema.type !== type && !(schema.type === 'number' && type === 'integer'))
    return [`${path}: type`];
  if (schema.pattern && !new RegExp(schema.pattern).test(value as string)) return [`${path}: pattern`];
  if (Array.isArray(value)) {
    const few = value.length < (schema.minItems ?? 0) ? [`${path}: minItems`] : [];
    return [...few, ...value.flatMap((item, i) => problems(schema.items ?? {}, item, `${path}.${i}`))];
  }
  if (type !== 'object') return [];
  const object = value as Record<string, unknown>;
  const found = (schema.required ?? []).filter((name) => !(name in object)).map((name) => `${path}.${name}: required`);
  for (const [name, member] of Object.entries(object)) {
    if (schema.propertyNames) found.push(...problems(schema.propertyNames, name, `${path}.${name}`));
    const property = schema.properties?.[name] ?? schema.additionalProperties;
    if (property === false || property === undefined) found.push(`${path}.${name}: additionalProperties`);
    else if (property !== true) found.push(...problems(property, member, `${path}.${name}`));
  }
  return found;
}

describe('JSON Schema of a loop file', () => {
  const schema = loopJsonSchema() as Schema;
  // biome-ignore lint/suspicious/noExplicitAny: the tests break the file on purpose
  let example: any;
  before(async () => {
    example = parse(await readFile(new URL('../../../examples/spam-filter/loop.yaml', import.meta.url), 'utf8'));
  });

  it('describes what people write: units are text, defaults may be left out', () => {
    assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema');
    assert.deepEqual(problems(schema, example), []);
    assert.deepEqual([...(schema.required ?? [])].sort(), [
      'apiVersion',
      'data',
      'gate',
      'loop',
      'model',
      'rollout',
      'train',
    ]);
    assert.equal(schema.properties?.limits?.properties?.minInterval?.type, 'string');
  });

  it('finds a misspelled field, a wrong type and a missing one', () => {
    const { loop: _loop, ...without } = example;
    const broken = { ...without, trian: {}, rollout: { ...example.rollout, canary: 5 } };
    assert.deepEqual(problems(schema, broken).sort(), [
      '$.loop: required',
      '$.rollout: anyOf',
      '$.trian: additionalProperties',
    ]);
  });

  it('offers an example of each unit, for completion', () => {
    const share = schema.properties?.data?.properties?.holdout?.properties?.share;
    assert.deepEqual(share?.examples, ['20%']);
  });
});
