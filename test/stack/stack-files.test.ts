import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { choosePorts, readAddresses, writeAddresses } from '../../src/stack/addresses.ts';
import { specHash } from '../../src/stack/child-spec.ts';
import { codeDigest } from '../../src/stack/children.ts';
import { createStateFolders, type StateLayout, stateLayout } from '../../src/stack/layout.ts';
import { openLog, rotateLog, tailLog } from '../../src/stack/log-file.ts';
import { freePorts, isFree } from '../../src/stack/ports.ts';
import { identify } from '../../src/stack/process-identity.mjs';
import { newRecord, readTable, writeRecord } from '../../src/stack/process-table.ts';
import { healthyChild } from './up-process.ts';

describe('files of the stack', () => {
  let layout: StateLayout;
  beforeEach(() => {
    layout = stateLayout(mkdtempSync(join(tmpdir(), 'goto3-files-')));
    createStateFolders(layout);
  });
  afterEach(() => rmSync(layout.home, { recursive: true, force: true }));

  it('rotates a log under a living writer, which goes on at the new beginning', async () => {
    const path = join(layout.logs, 'loud.log');
    const log = openLog(path);
    const writer = spawn(process.execPath, ['-e', "process.stdin.on('data', (d) => process.stdout.write(d))"], {
      stdio: ['pipe', log, 'inherit'],
    });
    closeSync(log);
    try {
      const written = async (text: string): Promise<void> => {
        writer.stdin!.write(text);
        while (!readFileSync(path, 'utf8').endsWith(text)) await new Promise((wake) => setTimeout(wake, 5));
      };
      await written(`${'x'.repeat(2_000)}\nold\n`);
      assert.equal(rotateLog(path, 10_000), false);
      assert.equal(rotateLog(path, 1_000), true);
      await written('new\n');
      assert.equal(readFileSync(path, 'utf8'), 'new\n');
      assert.deepEqual(tailLog(`${path}.1`, 1), ['old']);
    } finally {
      writer.kill('SIGKILL');
      await once(writer, 'exit');
    }
    assert.deepEqual(tailLog(join(layout.logs, 'none.log'), 3), []);
  });

  it('keeps the ports of the last up: free ones, and those that living children of ours hold', async () => {
    const mine = createServer();
    const foreign = createServer();
    for (const server of [mine, foreign]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    try {
      const portOf = (server: typeof mine): number => (server.address() as { port: number }).port;
      const [free, preferred] = await freePorts([undefined, undefined]);
      const ports = { held: portOf(mine), lost: portOf(foreign), free: free! };
      writeAddresses(layout, {
        schema: 'goto3/addresses/v1',
        temporal: { address: '127.0.0.1:1', namespace: 'default' },
        storeUrl: 'file:///s',
        endpoints: {},
        ports,
      });
      const record = newRecord(layout, healthyChild('a', ports.held), 0);
      writeRecord(layout.run, { ...record, process: identify(process.pid)! });

      const chosen = await choosePorts(layout, {
        held: 1,
        lost: undefined,
        free: 1,
        fresh: preferred,
        taken: ports.lost,
      });
      assert.deepEqual([chosen.held, chosen.free, chosen.fresh], [ports.held, free, preferred]);
      assert.equal(new Set(Object.values(chosen)).size, 5);
      for (const purpose of ['lost', 'taken'] as const) assert.ok(await isFree(chosen[purpose]!), purpose);
    } finally {
      mine.close();
      foreign.close();
    }
  });

  it('refuses records and addresses that it does not understand, by name of the file', () => {
    writeFileSync(join(layout.run, 'worker.json'), '{"schema":"goto3/child/v1"}');
    assert.throws(() => readTable(layout.run), /run\/worker\.json is not a process record[\s\S]*then remove the file/);
    writeFileSync(layout.addresses, '{');
    assert.throws(() => readAddresses(layout), /addresses\.json cannot be understood; remove it/);
  });

  it('knows a changed child by argv, environment and code, not by policy', () => {
    const spec = healthyChild('a', 1, { env: { A: '1', B: '2' } });
    assert.equal(specHash({ ...spec, env: { B: '2', A: '1' } }), specHash(spec));
    for (const changed of [{ env: { A: '1', B: '3' } }, { code: 'newer' }, { argv: ['other'] as [string] }])
      assert.notEqual(specHash({ ...spec, ...changed }), specHash(spec));
    assert.equal(specHash({ ...spec, ...{ graceMs: 1 } }), specHash(spec));
  });

  it('digests code by name and content', () => {
    const lock = join(layout.home, 'package-lock.json');
    const folder = join(layout.home, 'src', 'deep');
    mkdirSync(folder, { recursive: true });
    writeFileSync(lock, '{}');
    writeFileSync(join(folder, 'a.ts'), '1');
    const before = codeDigest(join(layout.home, 'src'), lock);
    writeFileSync(join(folder, 'notes.md'), 'x');
    assert.equal(codeDigest(join(layout.home, 'src'), lock), before);
    writeFileSync(join(folder, 'a.ts'), '2');
    assert.notEqual(codeDigest(join(layout.home, 'src'), lock), before);
  });
});
