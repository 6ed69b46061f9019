import { Argument, type Command } from 'commander';
import { define, runs } from '../command.ts';
import { facts } from '../output.ts';
import { plural } from '../words.ts';

export function registerFile(program: Command): void {
  define(program, 'validate <file>', 'check a loop file, or goto3.yaml; starts and writes nothing', [
    'validate examples/spam-filter/loop.yaml',
    'validate goto3.yaml',
    'validate loop.yaml --json',
  ]).action(
    runs<object, [file: string]>(async ({ output: { paint } }, _options, file) => {
      const { basename } = await import('node:path');
      const { environmentsFileName } = await import('../../environments-path.ts');
      if (basename(file) === environmentsFileName) {
        const { readEnvironmentsFile } = await import('../../environments.ts');
        const { default: chosen, environments } = readEnvironmentsFile(file);
        const names = Object.keys(environments).join(', ');
        const text = `${file} is ${paint.green('valid')}: ${names}; without --env it is ${chosen}`;
        return { document: { valid: true, file, default: chosen, environments }, text };
      }
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
    'schema environments > goto3.schema.json           of goto3.yaml',
    '# then, as the first line of loop.yaml: # yaml-language-server: $schema=loop.schema.json',
  ])
    .addArgument(new Argument('<kind>', 'which file').choices(['loop', 'workload', 'environments']))
    .action(
      runs<object, [kind: 'loop' | 'workload' | 'environments']>(async (_session, _options, kind) => {
        const document =
          kind === 'loop'
            ? (await import('../loop-schema.ts')).loopJsonSchema()
            : kind === 'workload'
              ? (await import('../workload-schema.ts')).workloadJsonSchema()
              : (await import('../environments-schema.ts')).environmentsJsonSchema();
        return { document, text: JSON.stringify(document, undefined, 2) };
      }),
    );
}
