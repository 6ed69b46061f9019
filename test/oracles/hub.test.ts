import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HubDouble } from '../doubles/hub.ts';

const python = process.env.GOTO3_ORACLE_PYTHON;

describe(`oracle: the double of the hub${python ? '' : ' (skipped; npm run test:oracles prepares it)'}`, () => {
  it("serves Hugging Face's own Python client", async function () {
    if (!python) this.skip();
    this.timeout(60_000);
    const folder = await mkdtemp(join(tmpdir(), 'goto3-oracle-hub-'));
    const hub = new HubDouble();
    await hub.start();
    try {
      const files = {
        'config.json': Buffer.from('{"model_type":"bert"}'),
        'model.safetensors': randomBytes(300_000),
        '1_Pooling/config.json': Buffer.from('{}'),
        'README.md': Buffer.from('# Card'),
        'vocab.txt': randomBytes(120_000),
      };
      hub.push('owner/name', { 'old.txt': 'of an older commit' });
      const commit = hub.push('owner/name', files);
      const argv = [join(import.meta.dirname, 'hub.py'), hub.url, 'owner/name', commit, folder];
      const env = { ...process.env, HF_HOME: folder, HF_HUB_DISABLE_TELEMETRY: '1', NO_PROXY: '127.0.0.1' };
      const { stdout } = await promisify(execFile)(python!, argv, { timeout: 50_000, env });
      const digests = Object.entries(files).map(([path, bytes]) => [
        path,
        createHash('sha256').update(bytes).digest('hex'),
      ]);
      assert.deepEqual(JSON.parse(stdout), { main: commit, digests: Object.fromEntries(digests) });
      assert.ok(hub.requests.length > 5);
    } finally {
      await hub.stop();
      await rm(folder, { recursive: true });
    }
  });
});
