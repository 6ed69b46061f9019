import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CsvColumns } from './init-csv.ts';

export const templateNames = ['classifier', 'text', 'regression', 'slurm', 'sagemaker'] as const;
export type TemplateName = (typeof templateNames)[number];

export interface Project {
  /** Absolute. */
  folder: string;
  /** Name of the loop, the model and the endpoint. */
  name: string;
  template: TemplateName;
  python: boolean;
  columns: CsvColumns;
}

export interface ProjectFile {
  path: string;
  text: string;
}

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const templates = join(root, 'templates');

/** What `init` writes, as text; nothing is written here. */
export async function projectFiles(project: Project): Promise<ProjectFile[]> {
  const { python, template, folder, columns } = project;
  const task = template === 'regression' ? 'regression' : 'classifier';
  const language = python ? 'python' : 'node';
  const programs = python
    ? ['feed.py', `${task}/evaluate.py`, 'test_feed.py']
    : ['feed.mjs', `${task}/evaluate.mts`, 'feed.test.mjs'];
  // In a container of its own nothing of goto3 is there to be imported.
  const trainer = trainsInPython(project)
    ? [`python/${task}/train.py`, 'python/requirements.txt']
    : // Text is learnt by goto3's own recipe, where it stands.
      columns.kind === 'text'
      ? []
      : [`node/${task}/train.ts`];
  const elsewhere: [from: string, to: string][] = isElsewhere(template)
    ? [[`shared/targets-${template}.yaml`, 'targets.yaml']]
    : [];
  const sources: [from: string, to: string][] = [
    ['shared/loop.yaml', 'loop.yaml'],
    ['shared/goto3.yaml', 'goto3.yaml'],
    ...elsewhere,
    ...(template === 'sagemaker' ? [['shared/Dockerfile', 'Dockerfile'] as [string, string]] : []),
    ...[...programs.map((file) => `${language}/${file}`), ...trainer].map((file): [string, string] => [
      file,
      file.split('/').at(-1)!,
    ]),
    ['shared/ci.yml', '.github/workflows/ci.yml'],
    ['shared/gitignore', '.gitignore'],
  ];
  const goto3 = relative(folder, root).split('\\').join('/');
  const recipe = columns.kind === 'text' && { train: `${goto3}/recipes/text-classifier/train.ts` };
  const words = { ...wordsOf(project), goto3, ...recipe };
  return await Promise.all(
    sources.map(async ([from, to]) => {
      const text = await readFile(join(templates, from), 'utf8');
      // Templates are type-checked where they stand; a project reaches the same modules from its own folder.
      return { path: to, text: filled(text.replaceAll("'../../../src/", `'${goto3}/src/`), words, to) };
    }),
  );
}

/** Every `{{word}}`, or `'{{word}}'` where the template is a program; `${{` is GitHub's own. @throws Error on a word that nobody gave */
const filled = (text: string, words: Readonly<Record<string, string>>, file: string): string =>
  text.replace(/'\{\{(\w+)\}\}'|(?<!\$)\{\{(\w+)\}\}/g, (_, quotedWord: string, plainWord: string) => {
    const word = quotedWord ?? plainWord;
    const value = words[word];
    if (value === undefined) throw new Error(`template of ${file}: nobody gave {{${word}}}`);
    return value;
  });

/** JSON text is YAML, JavaScript and Python text too. */
const quoted = (text: string): string => JSON.stringify(text);

const trainsInPython = ({ python, template }: Project): boolean => python || template === 'sagemaker';
const isElsewhere = (template: TemplateName): boolean => template === 'slurm' || template === 'sagemaker';

function wordsOf(project: Project): Record<string, string> {
  const { name, template, python, columns } = project;
  const { label, features, idColumn, timeColumn, labels, rows } = columns;
  const regression = template === 'regression';
  const [rarest] = labels[0] ?? [''];
  const commonest = (labels.at(-1)?.[1] ?? rows) / Math.max(1, rows);
  const hyperparameters = regression
    ? ['alpha: 1', ...(trainsInPython(project) ? [] : ['sweeps: 200'])]
    : trainsInPython(project)
      ? ['C: 1']
      : columns.kind === 'text'
        ? // About so many row visits are needed, however few the rows are.
          [`epochs: ${Math.min(200, Math.max(6, Math.round(20_000 / rows)))}`]
        : ['epochs: 300', 'rate: 0.5'];
  return {
    name: name,
    run: python ? '.venv/bin/python' : 'node',
    feed: python ? 'feed.py' : 'feed.mjs',
    runTrain: template === 'sagemaker' ? 'python3' : python ? '.venv/bin/python' : 'node',
    train: trainsInPython(project) ? 'train.py' : 'train.ts',
    evaluate: python ? 'evaluate.py' : 'evaluate.mts',
    task: regression ? 'regression' : 'classification',
    label: quoted(label),
    features: `[${features.map(quoted).join(', ')}]`,
    idColumn: quoted(idColumn),
    timeColumn: quoted(timeColumn),
    textColumns: columns.kind === 'text' ? `, TEXT_COLUMNS: '${JSON.stringify(features).replaceAll("'", "''")}'` : '',
    hyperparameters: hyperparameters.join(', '),
    costs: regression ? 'tooLow: 2' : `costly: ${quoted(rarest)}, miss: 3`,
    metrics: (regression ? regressionGate : classifierGate(commonest)).map((line) => `    ${line}`).join('\n'),
    dev:
      template === 'sagemaker'
        ? '{ store: s3://my-bucket/goto3, targets: targets.yaml }'
        : template === 'slurm'
          ? '{ targets: targets.yaml }'
          : '{}',
    runsOn: isElsewhere(template) ? `${template}:lab` : 'local',
    test: python ? '.venv/bin/python -m unittest' : 'node --test',
    ciSetup: python ? '      - run: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt\n' : '',
  };
}

const regressionGate = [
  '# Better than always saying the mean, or it does not ship; a ceiling in your own unit says more.',
  '- { metric: r2, floor: 0 }',
  '- { metric: rmse, worseBy: 20% }',
  '# Of the evaluation program.',
  '- { metric: cost, direction: lower, worseBy: 20% }',
];

const classifierGate = (commonest: number): string[] => [
  '# Better than always saying the commonest class, or it does not ship.',
  `- { metric: accuracy, floor: ${commonest.toFixed(2)}, margin: 5pt }`,
  '# Of the evaluation program.',
  '- { metric: cost, direction: lower, worseBy: 30% }',
];
