import { Argument, type Command } from 'commander';
import { define, runs } from '../command.ts';
import { facts } from '../output.ts';
import { plural } from '../words.ts';

export function registerFile(program: Command): void {
  define(program, 'validate <file>', 'check a loop file; starts and writes nothing', [
    'validate examples/spam-filter/loop.yaml',
    'validate loop.yaml --json',
  ]).action(
    runs<object, [file: string]>(async ({ output: { paint } }, _options, file) => {
      const { readLoopFile } = await import('../../loop-file.ts');
      const { spec } = await readLoopFile(file);
      const { loop, model, gate, rollout, approval, triggers } = spec;
      const text = [
        `${file} is ${paint.green('valid')}.`,
        facts(
          [
            ['loop', loop],
            ['model', model],
            ['gate', `${plural(gate.metrics.length, 'metric')} against ${gate.against.join(' and ')}`],
            ['approval', approval === 'auto' ? 'automatic' : `one of ${approval.by.join(', ')}`],
            ['endpoint', rollout === 'none' ? 'none: ends at the approved version' : rollout.endpoint],
            ['triggers', Object.keys(triggers).join(', ') || 'none: by request only'],
          ],
          paint,
        ),
      ].join('\n');
      return { document: { valid: true, file, spec }, text };
    }),
  );

  define(program, 'schema', 'the JSON Schema of a file, so that editors complete and check it', [
    'schema loop > loop.schema.json',
    'schema workload > workload.schema.json',
    '# then, as the first line of loop.yaml: # yaml-language-server: $schema=loop.schema.json',
  ])
    .addArgument(new Argument('<kind>', 'which file').choices(['loop', 'workload']))
    .action(
      runs<object, [kind: 'loop' | 'workload']>(async (_session, _options, kind) => {
        const document =
          kind === 'loop'
            ? (await import('../loop-schema.ts')).loopJsonSchema()
            : (await import('../workload-schema.ts')).workloadJsonSchema();
        return { document, text: JSON.stringify(document, undefined, 2) };
      }),
    );
}
