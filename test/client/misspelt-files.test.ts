import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { isMap, isScalar, isSeq, type Node, type Pair, parseDocument } from 'yaml';
import { projectFiles, templateNames } from '../../src/client/cli/commands/init-files.ts';
import { InvalidFile } from '../../src/client/errors.ts';
import { checkLoop } from '../../src/client/loop-file.ts';
import { parseYaml } from '../../src/client/yaml.ts';

const problemsOf = (text: string): readonly string[] => {
  const bytes = Buffer.from(text);
  try {
    checkLoop('loop.yaml', parseYaml('loop.yaml', bytes), bytes);
    return [];
  } catch (error) {
    if (error instanceof InvalidFile) return error.problems;
    throw error;
  }
};

type Path = (string | number)[];

/** Every field of a file: in mappings below mappings and lists. Names of variables and hyperparameters are the user's. */
function* fieldsOf(node: unknown, path: Path = []): Generator<Path> {
  if (isMap(node))
    for (const { key, value } of node.items as Pair<{ value: string }, Node>[]) {
      const field = [...path, key.value];
      yield field;
      if (!['env', 'hyperparameters'].includes(key.value)) yield* fieldsOf(value, field);
    }
  if (isSeq(node)) for (const [i, item] of node.items.entries()) yield* fieldsOf(item, [...path, i]);
}

const lineOf = (text: string, start: string): number => text.split('\n').findIndex((line) => line.includes(start)) + 1;
const example = (name: string): string =>
  readFileSync(new URL(`../../examples/${name}/loop.yaml`, import.meta.url), 'utf8');

describe('every field of every template, broken in turn', () => {
  const files: [name: string, text: () => Promise<string>][] = [
    ...templateNames.map((template): [string, () => Promise<string>] => [
      `the template ${template}`,
      async () => {
        const columns = {
          ...{ label: 'kind', features: ['width', 'height'], idColumn: '', timeColumn: '', leftOut: [], rows: 9 },
          labels: [['a', 4] as [string, number], ['b', 5] as [string, number]],
          kind: template === 'text' ? ('text' as const) : ('numbers' as const),
        };
        const made = await projectFiles({ folder: '/p', name: 'p', template, python: false, columns });
        return made.find(({ path }) => path === 'loop.yaml')!.text;
      },
    ]),
    ['the mail example', async () => example('spam-filter')],
    ['the diabetes example', async () => example('diabetes-regression')],
  ];

  for (const [name, read] of files)
    describe(name, () => {
      let text: string;
      let fields: Path[];
      before(async () => {
        text = await read();
        fields = [...fieldsOf(parseDocument(text).contents)];
        assert.deepEqual(problemsOf(text), []);
        assert.ok(fields.length > 25);
      });

      it('misspelt: the error names the field, its line, and the right spelling', () => {
        for (const path of fields) {
          const document = parseDocument(text);
          const field = String(path.at(-1));
          // Two neighbours have changed places, or a letter is there twice.
          const wrong =
            field.length > 3 ? `${field[0]}${field[2]}${field[1]}${field.slice(3)}` : `${field}${field.at(-1)}`;
          const misspelt = wrong === field ? `${field}${field.at(-1)}` : wrong;
          const parent = document.getIn(path.slice(0, -1), true) ?? document.contents;
          assert.ok(isMap(parent));
          const pair = parent.items.find(({ key }) => isScalar(key) && key.value === field)!;
          (pair.key as { value: string }).value = misspelt;
          const broken = document.toString({ lineWidth: 0 });
          const place = [...path.slice(0, -1), misspelt].join('.');
          const problems = problemsOf(broken);
          // Of one rule's several fields the nearest may be another one: `by` and `notBy`.
          const told = problems.find((problem) => problem.startsWith(`${place}: `));
          if (['env', 'hyperparameters'].includes(String(path.at(-2)))) {
            assert.equal(told, undefined);
            continue;
          }
          const end = `; did you mean ${JSON.stringify(field)}? (line ${lineOf(broken, misspelt)})`;
          assert.ok(
            told?.startsWith(`${place}: unknown field`) && told.endsWith(end),
            `${place}: ${problems.join('\n')}`,
          );
        }
      });

      it('mistyped: the error names the field and its line', () => {
        for (const path of fields) {
          const document = parseDocument(text);
          document.setIn(path, { 'not-this': [null] });
          const broken = document.toString({ lineWidth: 0 });
          const place = path.join('.');
          const told = problemsOf(broken).find((problem) => problem.startsWith(place));
          assert.match(told ?? `${place} was accepted`, /: .+ \(line \d+\)$/);
          // A collection may stand on the line below its key.
          const line = lineOf(broken, 'not-this');
          assert.ok(
            [line, line - 1].includes(Number(/line (\d+)\)$/.exec(told!)![1])),
            `${told}, expected line ${line}`,
          );
        }
      });

      it('left out: it has a default, or the error names it and the line of its group', () => {
        const required: string[] = [];
        for (const path of fields) {
          const document = parseDocument(text);
          document.deleteIn(path);
          const problems = problemsOf(document.toString({ lineWidth: 0 }));
          if (problems.length === 0) continue;
          required.push(path.join('.'));
          for (const problem of problems) {
            const top = !problem.split(':')[0]!.includes('.');
            assert.match(problem, top ? /^\S[^:]*: .+/ : /^\S[^:]*: .+ \(line \d+\)$/);
          }
        }
        for (const field of [
          'apiVersion',
          'loop',
          'model',
          'data',
          'data.columns.id',
          'train.program',
          'gate',
          'rollout',
        ])
          assert.ok(required.includes(field), field);
      });
    });
});

it('a file of thousands of unknown fields is refused in less than three seconds', () => {
  const startedMs = performance.now();
  const problems = problemsOf(Array.from({ length: 5_000 }, (_, i) => `lop${i}: 1\n`).join(''));
  assert.ok(problems.length >= 5_000);
  assert.ok(performance.now() - startedMs < 3_000, `took ${performance.now() - startedMs} ms`);
});
