import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parseHyperparameters } from '../../../recipes/encoder/hyperparameters.ts';
import { differentiableOperators } from '../../../src/onnx/train/gradient/rules.ts';
import { codeOf, codeRows, fences, readPage } from '../../deploy/docs/page.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const page = readPage('training.md');

describe('docs/training.md', () => {
  it('has a row for each hyperparameter, with its default', () => {
    const defaults: Readonly<Record<string, unknown>> = parseHyperparameters({});
    const optional = ['learningRate', 'features', 'positive', 'classes', 'baseName', 'baseRevision'];
    const rows = codeRows(page).map(([name, value]) => [codeOf(name)!, codeOf(value)] as const);
    assert.deepEqual(rows.map(([name]) => name).sort(), [...Object.keys(defaults), ...optional].sort());
    for (const [name, value] of rows)
      assert.equal(value, optional.includes(name) ? undefined : String(defaults[name]), name);
  });

  it('names every operator that has a gradient', () => {
    const [, list] = /with its name:\n(.*?)\.\n\n/s.exec(page)!;
    assert.deepEqual(
      [...list!.matchAll(/`(\w+)`/g)].map(([, name]) => name),
      differentiableOperators,
    );
  });

  it('its ten lines fit a line', async () => {
    const [program] = fences(page, 'ts') as [string];
    const argv = ['--import', 'tsx', '--input-type=module', '-e', program.replaceAll(/: number\[\]|!/g, '')];
    const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: root });
    assert.equal(stdout.trim(), '2.0 1.0');
  }).timeout(30_000);
});
