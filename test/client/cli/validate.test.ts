import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCli } from './run-cli.ts';

const loopFile = fileURLToPath(new URL('../loop.yaml', import.meta.url));

/** A bad file is named by its field, and neither a server, nor a store, nor a program has been touched. */
describe('goto3 validate', function () {
  this.timeout(40_000);
  let folder: string;
  let home: string;
  let text: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-validate-'));
    home = join(folder, 'home');
    text = await readFile(loopFile, 'utf8');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const rows: [what: string, edit: (text: string) => string, problem: RegExp][] = [
    ['a misspelt field', (t) => t.replace('model:', 'modle:'), /modle: unknown field/],
    ['an alias bomb', (t) => `${t}\na: &a [x, x]\nb: [*a, *a]\n`, /aliases are not supported/],
    [
      'a metric of no program',
      (t) => t.replace('metric: accuracy', 'metric: acuracy, direction: higher'),
      /gate\.metrics\.0\.(?:metric: expected one of "accuracy"|margin: expected a number)/,
    ],
    [
      'a command in place of a duration',
      (t) => t.replace('labelDelay: 1d', 'labelDelay: $(touch x)'),
      /data\.labelDelay: expected a duration/,
    ],
  ];
  for (const [what, edit, problem] of rows)
    it(`refuses ${what}, and has started nothing`, async () => {
      const file = join(folder, 'loop.yaml');
      const broken = edit(text);
      assert.notEqual(broken, text);
      // A program that would leave a trace.
      await writeFile(file, broken.replace(/program: \[[^\]]*\]/, `program: [touch, ${join(folder, 'started')}]`));
      for (const command of ['validate', 'apply']) {
        const { code, stdout, stderr } = await runCli(home, [command, file]);
        assert.notEqual(code, 0);
        assert.match(stdout + stderr, problem, command);
      }
      assert.deepEqual(
        (await readdir(folder)).filter((name) => name !== 'home'),
        ['loop.yaml'],
      );
      const below = await readdir(home, { recursive: true }).catch(() => []);
      assert.deepEqual(below, [], 'no store, no state');
    });
});
