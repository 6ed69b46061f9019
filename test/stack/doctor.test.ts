import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { examine, type Finding } from '../../src/stack/doctor.ts';
import { type Environment, readEnvironment } from '../../src/stack/environment.ts';
import { freePorts } from '../../src/stack/ports.ts';

describe('doctor', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'goto3-doctor-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function examined(given: Partial<Environment>): Promise<Record<string, Finding>> {
    const environment = { ...readEnvironment({}, folder), cacheFolder: join(folder, 'cache'), path: [], ...given };
    return Object.fromEntries((await examine(environment)).map((finding) => [finding.name, finding]));
  }

  it('finds what this machine has, and leaves nothing behind', async () => {
    const found = await examined({ path: readEnvironment().path });
    assert.equal(found.Node?.status, 'ok');
    assert.match(found.Node!.found, /^\d+\.\d+\.\d+ \(/);
    assert.deepEqual([found['npm packages']?.status, found['npm packages']?.fix], ['ok', undefined]);
    assert.match(found['onnxruntime-node']!.found, /^\d+\.\d+\.\d+, its native library loads$/);
    assert.match(found.store!.found, /link\(\) is exclusive/);
    assert.match(found.CPU!.found, /^\d+ cores, /);
    assert.match(found.memory!.found, /GiB available of/);
    assert.deepEqual(readdirSync(folder), []);
  });

  it('gives the command for each thing that a bare machine lacks', async () => {
    const found = await examined({});
    const lacking = Object.values(found).filter(({ status }) => status !== 'ok');
    for (const name of ['Temporal CLI', 'Temporal server', 'GPU', 'Go', 'Python', 'Slurm', 'Chromium'])
      assert.equal(found[name]?.status, 'warn', name);
    for (const { name, fix } of lacking) if (!['GPU', 'ports', 'CPU', 'memory'].includes(name)) assert.ok(fix, name);
    assert.match(
      found['Temporal CLI']!.fix!,
      /^GOBIN=.*cache\/bin go install github\.com\/temporalio\/cli\S+@v1\.5\.1$/,
    );
  });

  it('calls missing what was asked for by name and does not work', async () => {
    const [port] = await freePorts([undefined]);
    writeFileSync(join(folder, 'file'), '');
    const found = await examined({
      temporalCli: join(folder, 'file'),
      temporalAddress: `127.0.0.1:${port}`,
      storeUrl: pathToFileURL(join(folder, 'file', 'store')).href,
    });
    assert.deepEqual(
      ['Temporal CLI', 'Temporal server', 'store'].map((name) => found[name]?.status),
      ['missing', 'missing', 'missing'],
    );
    assert.match(found.store!.found, /ENOTDIR/);
    assert.ok(!existsSync(join(folder, '.goto3')));
  });
});
