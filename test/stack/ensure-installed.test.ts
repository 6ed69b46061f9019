import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../../scripts/ensure-installed.mjs', import.meta.url));

/** A project whose one dependency lies in a folder beside it, so that the real npm needs no network. */
describe('ensure-installed', () => {
  let root: string;
  const json = (path: string, content: unknown): void => writeFileSync(join(root, path), JSON.stringify(content));
  const depend = (version: string): void => {
    json('dep/package.json', { name: 'dep', version });
    json('package.json', { name: 'project', version: '1.0.0', dependencies: { dep: 'file:dep' } });
    json('package-lock.json', {
      name: 'project',
      version: '1.0.0',
      lockfileVersion: 3,
      requires: true,
      packages: {
        '': { name: 'project', version: '1.0.0', dependencies: { dep: 'file:dep' } },
        dep: { version },
        'node_modules/dep': { resolved: 'dep', link: true },
      },
    });
  };
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'goto3-install-'));
    mkdirSync(join(root, 'dep'));
    depend('1.0.0');
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  async function run(): Promise<{ code: number; output: string }> {
    const child = spawn(process.execPath, [script, root], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const [code] = await once(child, 'close');
    return { code, output };
  }

  it('installs on a fresh clone, says so, and is quiet from then on', async () => {
    const first = await run();
    assert.equal(first.code, 0, first.output);
    assert.match(first.output, /no npm packages are installed; running npm ci in .*\n/);
    assert.match(first.output, /npm packages installed in \d+\.\d s/);
    assert.equal(JSON.parse(readFileSync(join(root, 'node_modules/dep/package.json'), 'utf8')).version, '1.0.0');
    assert.deepEqual(await run(), { code: 0, output: '' });
  });

  it('installs again when package-lock.json changed, or when an install was killed', async () => {
    await run();
    depend('2.0.0');
    assert.match((await run()).output, /dep is 1\.0\.0, package-lock\.json wants 2\.0\.0; running npm ci/);
    assert.deepEqual(await run(), { code: 0, output: '' });
    rmSync(join(root, 'node_modules/.package-lock.json'));
    assert.match((await run()).output, /no npm packages are installed; running npm ci/);
  });

  it('installs once when many start at once', async () => {
    const runs = await Promise.all([run(), run(), run()]);
    const output = runs.map((each) => each.output).join('');
    assert.deepEqual(
      runs.map(({ code }) => code),
      [0, 0, 0],
      output,
    );
    assert.equal(output.match(/running npm ci/g)?.length, 1);
    assert.ok(existsSync(join(root, 'node_modules/dep')));
  });

  it('fails with npm when npm fails', async () => {
    json('package.json', { name: 'project', version: '1.0.0', dependencies: { dep: 'file:dep', other: 'file:other' } });
    const { code, output } = await run();
    assert.notEqual(code, 0);
    assert.match(output, /npm ci failed after \d+\.\d s/);
  });
});
