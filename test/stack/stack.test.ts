import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { searchAttributes } from '../../src/contracts/search-attributes.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import type { StackEvent } from '../../src/stack/events.ts';
import { type StateLayout, stateLayout } from '../../src/stack/layout.ts';
import { freePorts } from '../../src/stack/ports.ts';
import { isAlive } from '../../src/stack/process-identity.mjs';
import { readTable } from '../../src/stack/process-table.ts';
import { waitUntilServing } from '../../src/stack/readiness.ts';
import { bringDown, bringUp, type Stack, type UpOptions } from '../../src/stack/stack.ts';
import { StackLocked } from '../../src/stack/stack-lock.ts';
import { stackStatus } from '../../src/stack/status.ts';
import { ensureTemporalCli } from '../../src/stack/temporal-cli.ts';
import { claimDatabase, DatabaseVersionMismatch } from '../../src/stack/temporal-server.ts';
import { healthyChild, StackUnderTest, until } from './up-process.ts';

describe('embedded Temporal', () => {
  let home: string;
  let layout: StateLayout;
  let stack: Stack | undefined;
  const events: StackEvent[] = [];
  let options: UpOptions;

  before(async () => {
    home = mkdtempSync(join(tmpdir(), 'goto3-stack-'));
    layout = stateLayout(home);
    const { path } = await ensureTemporalCli({ log: console.log });
    options = {
      environment: { ...readEnvironment({}), home, temporalCli: path },
      queues: [],
      endpoints: [],
      log: console.log,
      onEvent: (event) => events.push(event),
    };
  });
  after(async () => {
    await stack?.stop();
    rmSync(home, { recursive: true, force: true });
  });

  it('starts, keeps closed workflows for 30 days, knows our search attributes, and shows its UI', async () => {
    stack = await bringUp(options);
    await stack.ready(9_000);
    const { address, namespace, uiUrl } = stack.addresses.temporal;
    await waitUntilServing(address, Date.now());
    const connection = await Connection.connect({ address });
    try {
      const { config } = await connection.workflowService.describeNamespace({ namespace });
      assert.equal(Number(config?.workflowExecutionRetentionTtl?.seconds), 30 * 86_400);
      const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
      for (const { name } of Object.values(searchAttributes)) assert.ok(customAttributes?.[name], name);
    } finally {
      await connection.close();
    }
    assert.equal((await fetch(uiUrl!)).status, 200);
    assert.ok(existsSync(`${layout.database}-wal`), 'the WAL pragma is in force');
    const status = await stackStatus(layout);
    assert.equal(status.up?.pid, process.pid);
    assert.deepEqual(
      status.children.map(({ name, health }) => [name, health]),
      [['temporal', 'ok']],
    );
  });

  it('comes back after kill -9 with what it had acknowledged', async () => {
    const { address } = stack!.addresses.temporal;
    const connection = await Connection.connect({ address });
    try {
      const client = new Client({ connection });
      await client.workflow.start('nobody-runs-it', { workflowId: 'kept', taskQueue: 'none', args: [] });
      const [record] = readTable(layout.run);
      events.length = 0;
      process.kill(record!.process!.pid, 'SIGKILL');
      await until('the restart', () => events.some(({ kind }) => kind === 'ready'));
      assert.deepEqual(
        events.map(({ kind }) => kind),
        ['died', 'started', 'ready'],
      );
      assert.equal((await client.workflow.getHandle('kept').describe()).status.name, 'RUNNING');
    } finally {
      await connection.close();
    }
  });

  it('refuses a second stack on its folder', async () => {
    await assert.rejects(bringUp(options), StackLocked);
  });

  it('refuses a database of another server version, with the command that starts afresh, which does', async () => {
    await stack!.stop();
    stack = undefined;
    const stamp = readFileSync(layout.databaseStamp, 'utf8');
    writeFileSync(layout.databaseStamp, stamp.replace(/\d+\.\d+\.\d+/, '1.31.0'));
    const before = statSync(layout.database).mtimeMs;
    await assert.rejects(bringUp(options), (error: Error) => {
      assert.ok(error instanceof DatabaseVersionMismatch);
      assert.match(error.message, /server version 1\.31\.0, this Temporal CLI has server 1\.29/);
      assert.match(error.message, /goto3 up --fresh/);
      return true;
    });
    assert.equal(statSync(layout.database).mtimeMs, before);

    stack = await bringUp({ ...options, fresh: true });
    await stack.ready(9_000);
    const connection = await Connection.connect({ address: stack.addresses.temporal.address });
    try {
      await assert.rejects(new Client({ connection }).workflow.getHandle('kept').describe(), /not found/i);
    } finally {
      await connection.close();
    }
    const aside = readdirSync(home).find((entry) => entry.startsWith('temporal-1.31.0-'));
    assert.ok(aside && existsSync(join(home, aside, 'temporal.db')));
  });

  it('refuses a database that nobody has stamped', () => {
    const folder = stateLayout(mkdtempSync(join(home, 'old-')));
    assert.throws(
      () => claimDatabase({ ...folder, database: layout.database }, '1.29.1'),
      /belongs to server version unknown/,
    );
  });

  it('says so when no server answers before the deadline', async () => {
    const [port] = await freePorts([undefined]);
    await assert.rejects(waitUntilServing(`127.0.0.1:${port}`, Date.now() + 300), /no Temporal server answers at 127/);
  });
});

describe('down', () => {
  let stack: StackUnderTest;
  beforeEach(() => {
    stack = new StackUnderTest();
  });
  afterEach(() => stack.clean());

  it('has a living up stop everything', async () => {
    const [port] = await freePorts([undefined]);
    const up = stack.up([healthyChild('worker', port!)]);
    await up.event('allReady');
    const worker = stack.process('worker');
    assert.ok(await bringDown(stack.layout));
    assert.equal(await up.exit(), 0);
    assert.ok(!isAlive(worker));
    assert.deepEqual((await stackStatus(stack.layout)).children, []);
  });

  it('stops what a killed up has left, in waves', async () => {
    const ports = await freePorts([undefined, undefined]);
    const up = stack.up([healthyChild('a', ports[0]!, { stopWave: 2 }), healthyChild('b', ports[1]!)]);
    await up.event('allReady');
    const children = [stack.process('a'), stack.process('b')];
    await up.kill();
    const seen: string[] = [];
    assert.equal(
      await bringDown(stack.layout, { onEvent: ({ kind, name }) => seen.push(`${kind} ${name}`) }),
      undefined,
    );
    assert.deepEqual(seen, ['stopping b', 'stopped b', 'stopping a', 'stopped a']);
    assert.ok(!children.some(isAlive));
  });
});
