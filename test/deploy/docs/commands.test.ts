import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import type { Command } from 'commander';
import { createProgram } from '../../../src/client/cli/program.ts';
import { readRepositoryFile } from '../compose-file.ts';
import { fences, readPage } from './page.ts';

const docs = new URL('../../../docs/', import.meta.url);
const pages = readdirSync(docs).filter((name) => name.endsWith('.md'));

/** A shell's words: quotes group, nothing else is special in our examples. */
const wordsOf = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, plain]) => double ?? single ?? plain!);

/** Why this command line would be refused before it does anything; undefined when it would not. */
function problemWith(program: Command, argv: readonly string[]): string | undefined {
  let command = program;
  let rest = [...argv];
  for (;;) {
    const next = command.commands.find((candidate) => candidate.name() === rest[0]);
    if (!next) break;
    command = next;
    rest = rest.slice(1);
  }
  if (command.commands.length > 0) return `${command.name()}: there is no ${rest[0] ?? 'command without a word'}`;
  const { operands, unknown } = command.parseOptions(rest);
  if (unknown.length > 0) return `unknown ${unknown.join(' ')}`;
  const required = command.registeredArguments.filter((argument) => argument.required).length;
  if (operands.length < required || operands.length > command.registeredArguments.length)
    return `expected ${required} arguments, got ${operands.join(' ')}`;
  const missing = command.options.find((o) => o.mandatory && command.getOptionValue(o.attributeName()) === undefined);
  return missing && `${missing.flags} is missing`;
}

describe('pages of docs/', () => {
  for (const page of pages) {
    const text = readPage(page);
    const inFences = fences(text, 'sh').flatMap((fence) => fence.split('\n').map((line) => line.trim()));
    const inText = [...text.matchAll(/`((?:\.\/bin\/)?goto3 [a-z][^`]*)`/g)].map(([, code]) => code!);

    const commands = [...inFences, ...inText.filter((code) => !/[<…]/.test(code))]
      .map((line) => line.replace(/^docker compose run --rm /, '').replace(/^\.\/bin\//, ''))
      .filter((line) => line.startsWith('goto3 '));
    if (commands.length > 0)
      it(`${page}: every goto3 command exists, with its options`, () => {
        for (const line of commands) {
          const argv = wordsOf(line.replace(/\s+#.*$/, '')).slice(1);
          // A command that is only named, such as `goto3 apply`, has no arguments to check.
          const problem = problemWith(createProgram(), argv);
          const named = inText.some((code) => code.replace('./bin/', '') === line);
          if (!(named && /expected|missing/.test(problem ?? ''))) assert.equal(problem, undefined, line);
        }
      });

    it(`${page}: every link leads somewhere`, () => {
      for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)/g))
        assert.ok(target === '' || existsSync(new URL(target!, docs)), target);
      for (const [, target, anchor] of text.matchAll(/\]\((?!https?:)([^)#]*)#([^)]*)\)/g)) {
        const headings = [...readPage(target === '' ? page : target!).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
          heading!
            .toLowerCase()
            .replaceAll(/[^a-z0-9 -]/g, '')
            .replaceAll(' ', '-'),
        );
        assert.ok(headings.includes(anchor!), `${target}#${anchor}`);
      }
    });

    it(`${page}: every npm script and path of the repository that it names is there`, () => {
      const { scripts } = JSON.parse(readRepositoryFile('package.json')) as { scripts: Record<string, string> };
      for (const [, script] of text.matchAll(/npm run ([a-z:]+(?:-[a-z]+)*)/g)) assert.ok(scripts[script!], script);
      const made = readRepositoryFile('deploy/.gitignore')
        .split('\n')
        .map((name) => `deploy/${name}`);
      for (const [, path] of text.matchAll(/`((?:src|test|examples|recipes|deploy|bench|docs)\/[\w./-]*)`/g))
        assert.ok(made.includes(path!) || existsSync(new URL(`../${path}`, docs)), path);
    });
  }
});
