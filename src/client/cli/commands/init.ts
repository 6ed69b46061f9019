import type { Command } from 'commander';
import { define, runs } from '../command.ts';
import { facts, type Paint } from '../output.ts';
import { plural } from '../words.ts';
import type { CsvColumns } from './init-csv.ts';

interface InitOptions {
  csv: string;
  label: string;
  id?: string;
  time?: string;
  name?: string;
  python?: boolean;
  template: string;
}

export function registerInit(program: Command): void {
  define(program, 'init <dir>', 'write a loop of your own around a CSV file: programs, loop.yaml, a test, a CI file', [
    'init sales --csv ~/sales.csv --label returned',
    'init prices --csv houses.csv --label price --template regression --python',
    'init tickets --csv tickets.csv --label queue --template text',
    'init parcels --csv parcels.csv --label kind --template slurm --id parcel --time seenAt',
    'init parcels --csv parcels.csv --label kind --template sagemaker      trains in a container, in Python',
  ])
    .requiredOption('--csv <file>', 'your rows, with a line of column names; copied to rows.csv')
    .requiredOption('--label <column>', 'what the model is to tell')
    .option('--id <column>', 'what tells rows apart (default: a column named id or the like, else the line)')
    .option('--time <column>', "the rows' own time (default: a column named date or the like, else their order)")
    .option('--name <name>', 'of the loop, the model and the endpoint (default: the folder’s)')
    .option('--python', 'training, data and evaluation in Python; otherwise in Node, with nothing to install')
    .option('--template <name>', 'classifier, text, regression, slurm or sagemaker', 'classifier')
    .action(runs<InitOptions, [dir: string]>((session, options, dir) => init(session.output.paint, options, dir)));
}

async function init(paint: Paint, options: InitOptions, dir: string) {
  const { copyFile, mkdir, mkdtemp, readdir, rename, rm, rmdir, writeFile } = await import('node:fs/promises');
  const { basename, dirname, join, relative, resolve } = await import('node:path');
  const { isName } = await import('../../../contracts/names.ts');
  const { InvalidArgument } = await import('../../errors.ts');
  const { readLoopFile } = await import('../../loop-file.ts');
  const { nearest } = await import('../../nearest.ts');
  const { readCsvColumns } = await import('./init-csv.ts');
  const { projectFiles, templateNames } = await import('./init-files.ts');

  const template = templateNames.find((name) => name === options.template);
  if (template === undefined) {
    throw new InvalidArgument(
      `--template ${options.template}: no such template${nearest(options.template, templateNames)}; expected ${templateNames.join(', ')}`,
    );
  }
  const folder = resolve(dir);
  const name = options.name ?? basename(folder).toLowerCase();
  if (!isName(name))
    throw new InvalidArgument(
      `${JSON.stringify(name)}: expected lower-case letters, digits, ".", "_" and "-"; give --name`,
    );
  const there = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new InvalidArgument(`${dir}: ${error.code === 'ENOTDIR' ? 'is a file' : error.message}`);
  });
  if (there && there.length > 0)
    throw new InvalidArgument(`${dir}: is not empty, and init overwrites nothing; expected a new folder`);
  const python = options.python === true;
  if (python && template === 'text')
    throw new InvalidArgument('--template text: its recipe is in Node; leave --python out');
  const kind = template === 'text' ? 'text' : template === 'classifier' && !python ? 'whichever' : 'numbers';
  const columns = await readCsvColumns(options.csv, { ...options, kind });
  if (template === 'regression' && columns.labels.some(([label]) => !Number.isFinite(Number(label))))
    throw new InvalidArgument(
      `--label ${options.label}: not all of it are numbers; --template classifier tells classes`,
    );
  if (template !== 'regression' && columns.labels.length > 50)
    throw new InvalidArgument(
      `--label ${options.label}: has ${columns.labels.length} different values; --template regression tells numbers`,
    );

  // Whole or not at all: written beside, checked, and renamed into place.
  await mkdir(dirname(folder), { recursive: true });
  const draft = await mkdtemp(join(dirname(folder), `.${basename(folder)}-`));
  const files = await projectFiles({ folder, name, template, python, columns });
  try {
    for (const { path, text } of files) {
      await mkdir(dirname(join(draft, path)), { recursive: true });
      await writeFile(join(draft, path), text);
    }
    await copyFile(options.csv, join(draft, 'rows.csv'));
    await readLoopFile(join(draft, 'loop.yaml'));
    if (there) await rmdir(folder);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
  const written = [...files.map(({ path }) => path), 'rows.csv'].sort();
  const shown = relative(process.cwd(), folder) || '.';
  return {
    document: { folder, name, template, python: options.python === true, columns, files: written },
    text: describe({ shown, name, python: options.python === true, template, columns, written }, paint),
  };
}

interface Made {
  shown: string;
  name: string;
  python: boolean;
  template: string;
  columns: CsvColumns;
  written: readonly string[];
}

function describe({ shown, name, python, template, columns, written }: Made, paint: Paint): string {
  const { features, idColumn, timeColumn, leftOut, rows } = columns;
  return [
    facts(
      [
        ['written', `${shown}: ${written.join(', ')}`],
        [
          'rows',
          `${plural(rows, 'row')}; id: ${idColumn || 'the line'}, time: ${timeColumn || 'the order of the lines'}`,
        ],
        ['label', columns.label],
        ['features', features.join(', ')],
        ...leftOut.map(({ column, reason }) => ['left out', `${column}: ${reason}`] as const),
      ],
      paint,
    ),
    '',
    'Next:',
    `  cd ${shown}`,
    ...(python ? ['  python3 -m venv .venv && .venv/bin/pip install -r requirements.txt'] : []),
    ...(template === 'slurm' ? ['  name your cluster in targets.yaml'] : []),
    ...(template === 'sagemaker'
      ? [
          '  build the Dockerfile and push it to your registry; name it, role and region in targets.yaml',
          '  name your bucket in goto3.yaml; goto3 doctor tries it',
        ]
      : []),
    `  goto3 up --endpoint ${name}`,
    '  goto3 apply loop.yaml               in another terminal, from the same folder',
  ].join('\n');
}
