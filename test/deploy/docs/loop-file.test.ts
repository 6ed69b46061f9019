import assert from 'node:assert/strict';
import { parse } from 'yaml';
import { z } from 'zod';
import { LoopSpecSchema } from '../../../src/contracts/loop-spec.ts';
import { metricNames } from '../../../src/contracts/verdict.ts';
import { codeOf, codeRows, readPage } from './page.ts';

interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  additionalProperties?: unknown;
  required?: string[];
}

/** Fields that a person writes a value into, by path; a secret and a map are values. */
function leaves(schema: JsonSchema, path = ''): string[] {
  const members = (schema.anyOf ?? [schema]).filter((member) => member.properties || member.items?.properties);
  const isSecret = members.some((member) => member.properties?.secret);
  if (members.length === 0 || isSecret) return [path];
  return members.flatMap((member) =>
    member.items
      ? leaves(member.items, `${path}[]`)
      : Object.entries(member.properties!).flatMap(([name, child]) =>
          leaves(child, path === '' ? name : `${path}.${name}`),
        ),
  );
}

/** Everything that can be written is written, so that each field can be taken away. */
const whole = {
  apiVersion: 'goto3/v1',
  loop: 'l',
  model: 'm',
  data: {
    program: ['node', 'feed.ts'],
    columns: { id: 'id', time: 'time', label: 'label', features: ['text'] },
    holdout: { share: '20%', newest: 100 },
    checks: {},
    slices: ['source'],
  },
  base: {},
  train: { program: ['node', 'train.ts'], resources: {} },
  evaluate: { program: ['node', 'evaluate.ts'], resources: {} },
  quantize: { int8: 'dynamic', margin: '1pt', search: {} },
  gate: { metrics: [{ metric: 'accuracy', floor: 0.9, margin: '1pt' }] },
  approval: { by: ['ops'], within: '1d' },
  rollout: { endpoint: 'e', each: {}, rollbackOn: {}, probation: { for: '7d', rollbackOn: { accuracy: '-3pt' } } },
  triggers: { schedule: { cron: '0 3 * * *' }, drift: {}, bias: { positive: 'spam' } },
  limits: {},
  notify: { on: ['parked'], webhook: { secret: 'hook' } },
};

type Tree = { [name: string]: Tree };
/** A copy with the field set, or taken away for `undefined`. */
function changed(path: string, value: unknown): unknown {
  const copy = structuredClone(whole) as unknown as Tree;
  // Bias compares the groups of slices: it goes when they do.
  if (path === 'data.slices') delete copy.triggers!.bias;
  const names = path.replaceAll('[]', '.0').split('.');
  const parent = names.slice(0, -1).reduce((tree, name) => tree[name]!, copy);
  const last = names.at(-1)!;
  if (value === undefined) delete parent[last];
  else parent[last] = value as Tree;
  return copy;
}

const valueAt = (tree: unknown, path: string): unknown =>
  path
    .replaceAll('[]', '.0')
    .split('.')
    .reduce<unknown>((value, name) => (value as Tree | undefined)?.[name], tree);

describe('docs/loop-file.md', () => {
  const page = readPage('loop-file.md');
  const schema = z.toJSONSchema(LoopSpecSchema, { io: 'input' }) as JsonSchema;
  const rows = codeRows(page)
    .filter((cells) => cells.length === 4)
    .map(([field, , fallback]) => ({ field: codeOf(field)!, fallback: codeOf(fallback)! }));

  it('has every field of the schema, and no other', () => {
    const fields = leaves(schema);
    assert.ok(fields.length > 50, `${fields.length} fields`);
    assert.deepEqual(rows.map(({ field }) => field).sort(), [...new Set(fields)].sort());
  });

  it('begins with a whole file that is valid', () => {
    LoopSpecSchema.parse(whole);
  });

  for (const { field, fallback } of rows)
    it(`is right about ${field}: ${fallback}`, () => {
      const without = LoopSpecSchema.safeParse(changed(field, undefined));
      if (fallback === 'required') {
        assert.equal(without.success, false, 'it can be left out');
        return;
      }
      assert.ok(without.success, 'it cannot be left out');
      if (fallback === 'none') {
        // What every metric brings along is no default that a person could write.
        if (!field.endsWith('.direction')) assert.equal(valueAt(without.data, field), undefined);
        return;
      }
      const written = LoopSpecSchema.parse(changed(field, parse(fallback)));
      assert.deepEqual(without.data, written);
    });

  it('names every metric', () => {
    for (const metric of metricNames) assert.ok(page.includes(`\`${metric}\``), metric);
  });
});
