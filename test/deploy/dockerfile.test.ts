import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { fileURLToPath } from 'node:url';
import { readComposeFile, readRepositoryFile } from './compose-file.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe('Dockerfile', () => {
  const source = readRepositoryFile('Dockerfile');
  const instructions = source
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => [line.split(' ')[0]!, line.slice(line.indexOf(' ') + 1)] as const);
  const all = (name: string): string[] => instructions.filter(([word]) => word === name).map(([, rest]) => rest);
  const lastStage = instructions.slice(instructions.findLastIndex(([word]) => word === 'FROM'));
  const ignore = readRepositoryFile('.dockerignore').split('\n');
  const copied = all('COPY')
    .filter((rest) => !rest.startsWith('--from'))
    .flatMap((rest) => rest.split(' ').slice(0, -1));

  it('is built in stages from one pinned image', () => {
    assert.match(all('ARG')[0]!, /^NODE_IMAGE=node:\d+\.\d+\.\d+-bookworm-slim$/);
    const images = all('FROM').map((rest) => rest.split(' ')[0]!);
    assert.equal(images.length, 2);
    for (const image of images) assert.match(image, /^\$\{NODE_IMAGE\}$/);
  });

  it('runs the worker in exec form, not as root, from the folder where tsx is found', () => {
    const of = (name: string): string | undefined => lastStage.find(([word]) => word === name)?.[1];
    assert.deepEqual(JSON.parse(of('ENTRYPOINT')!), ['node', '--import', 'tsx', 'src/workers/main.ts']);
    assert.match(of('USER')!, /^[1-9]\d*:[1-9]\d*$/);
    assert.equal(of('WORKDIR'), '/app');
    assert.equal(of('CMD'), undefined);
  });

  it('has the folders and defaults that docker-compose.yml counts on', () => {
    const { GOTO3_HOME, GOTO3_STORE } = readComposeFile('docker-compose.yml').services['worker-cpu']!.environment!;
    assert.ok(all('ENV').some((rest) => rest.includes(`GOTO3_HOME=${GOTO3_HOME} GOTO3_STORE=${GOTO3_STORE}`)));
    assert.match(all('RUN').at(-1)!, /install -d -o node -g node .*\/state \/store \/app\/\.goto3/);
  });

  it('copies what exists and what .dockerignore lets through, and nothing else goes in', () => {
    assert.equal(
      ignore.find((line) => !line.startsWith('#')),
      '*',
    );
    const allowed = ignore.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    assert.deepEqual([...new Set(copied)].sort(), [...allowed].sort());
    for (const path of copied) assert.ok(existsSync(`${root}${path}`), path);
  });

  it('needs no development package at run time', () => {
    const { dependencies } = JSON.parse(readRepositoryFile('package.json')) as { dependencies: Record<string, string> };
    const imported = /^(?:.*\bfrom|import) '([^'./][^'\n]*)';$/gm;
    const missing = new Set<string>();
    for (const path of copied.filter((path) => !/package|npmrc/.test(path)))
      for (const file of filesBelow(path))
        for (const [, name] of readRepositoryFile(file).matchAll(imported)) {
          const packageName = name!
            .split('/')
            .slice(0, name!.startsWith('@') ? 2 : 1)
            .join('/');
          if (!isBuiltin(name!) && !(packageName in dependencies)) missing.add(`${packageName} in ${file}`);
        }
    // It downloads the Temporal CLI for `goto3 up`, which no container runs.
    assert.deepEqual([...missing], ['@temporalio/testing in src/stack/temporal-download.ts']);
  });
});

function filesBelow(path: string): string[] {
  if (/\.[a-z]+$/.test(path)) return [path];
  return (readdirSync(`${root}${path}`, { recursive: true }) as string[])
    .filter((file) => /\.(ts|mjs|js)$/.test(file))
    .map((file) => `${path}/${file}`);
}
