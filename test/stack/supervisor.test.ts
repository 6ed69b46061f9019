import assert from 'node:assert/strict';
import { freePorts } from '../../src/stack/ports.ts';
import { identify, isAlive } from '../../src/stack/process-identity.mjs';
import { readTable, writeRecord } from '../../src/stack/process-table.ts';
import { healthyChild, StackUnderTest, until } from './up-process.ts';

describe('supervisor', () => {
  let stack: StackUnderTest;
  beforeEach(() => {
    stack = new StackUnderTest();
  });
  afterEach(() => stack.clean());

  it('starts in order, and SIGTERM stops everything in waves and leaves no process', async () => {
    const [a, b] = await freePorts([undefined, undefined]);
    const up = stack.up([
      healthyChild('worker', b!, { after: ['server'], stopWave: 2, flags: ['--helper'] }),
      healthyChild('server', a!, { stopWave: 3 }),
    ]);
    await up.event('allReady');
    const [server, worker] = [stack.process('server'), stack.process('worker')];
    const helper = identify(Number(/helper (\d+)/.exec(stack.log('worker'))?.[1]));
    assert.ok(helper && isAlive(server) && isAlive(worker));

    up.signal('SIGTERM');
    assert.equal(await up.exit(), 0);
    assert.deepEqual(
      up.events.map(({ kind, name }) => `${kind} ${name}`),
      [
        'started server',
        'ready server',
        'started worker',
        'ready worker',
        'allReady undefined',
        'stopping worker',
        'stopped worker',
        'stopping server',
        'stopped server',
      ],
    );
    // The helper too: it was in the worker's process group.
    await until('the end of all processes', () => ![server, worker, helper].some(isAlive));
    assert.match(stack.log('worker'), /left \d+/);
    assert.deepEqual(readTable(stack.layout.run), []);
  });

  it('restarts a child that is killed, and what it left in its process group is gone', async () => {
    const [port] = await freePorts([undefined]);
    const up = stack.up([healthyChild('worker', port!, { flags: ['--helper'] })]);
    await up.event('allReady');
    const first = stack.process('worker');
    const helper = identify(Number(/helper (\d+)/.exec(stack.log('worker'))?.[1]));
    assert.ok(helper);

    process.kill(first.pid, 'SIGKILL');
    assert.equal((await up.event('died', 'worker')).how, 'killed by SIGKILL');
    const restarted = await up.event('started', 'worker', 3);
    assert.equal(restarted.restarts, 1);
    await up.event('ready', 'worker', 3);
    assert.notEqual(stack.process('worker').pid, first.pid);
    assert.equal(isAlive(helper), false);
  });

  it('lets the children of a killed up live, and the next up adopts them', async () => {
    const ports = await freePorts([undefined, undefined]);
    const specs = [healthyChild('server', ports[0]!), healthyChild('worker', ports[1]!, { after: ['server'] })];
    const first = stack.up(specs);
    await first.event('allReady');
    const before = ['server', 'worker'].map((name) => stack.process(name));
    await first.kill();
    assert.ok(before.every(isAlive));
    assert.equal((await fetch(`http://127.0.0.1:${ports[1]}/healthz`)).status, 200);

    const second = stack.up(specs);
    await second.event('allReady');
    assert.deepEqual(
      second.events.filter(({ kind }) => kind === 'adopted').map(({ name, pid }) => [name, pid]),
      [
        ['server', before[0]!.pid],
        ['worker', before[1]!.pid],
      ],
    );
    assert.ok(!second.events.some(({ kind }) => kind === 'started'));

    // An adopted child is nobody's child here, and is watched all the same.
    process.kill(before[1]!.pid, 'SIGKILL');
    await second.event('died', 'worker');
    await second.event('started', 'worker');
    second.signal('SIGTERM');
    assert.equal(await second.exit(), 0);
    assert.ok(!before.some(isAlive));
  });

  it('finds a child whose up was killed between the start and the record of its pid', async () => {
    const [port] = await freePorts([undefined]);
    const specs = [healthyChild('worker', port!)];
    const first = stack.up(specs);
    await first.event('allReady');
    const before = stack.process('worker');
    await first.kill();
    const [record] = readTable(stack.layout.run);
    writeRecord(stack.layout.run, { ...record!, process: null });

    const second = stack.up(specs);
    assert.equal((await second.event('adopted', 'worker')).pid, before.pid);
    await second.event('allReady');
  });

  it('replaces a living child when its code changed, and stops one that is no longer wanted', async () => {
    const ports = await freePorts([undefined, undefined]);
    const specs = [healthyChild('worker', ports[0]!), healthyChild('old', ports[1]!)];
    const first = stack.up(specs);
    await first.event('allReady');
    const [worker, old] = [stack.process('worker'), stack.process('old')];
    await first.kill();

    const second = stack.up([{ ...specs[0]!, code: 'newer' }]);
    assert.equal((await second.event('stopping', 'worker')).why, 'replaced');
    assert.equal((await second.event('stopping', 'old')).why, 'unwanted');
    await second.event('allReady');
    assert.ok(!isAlive(worker) && !isAlive(old));
    assert.notEqual(stack.process('worker').pid, worker.pid);
  });

  it('refuses a second up on the same folder and names the first', async () => {
    const [port] = await freePorts([undefined]);
    const specs = [healthyChild('worker', port!)];
    const first = stack.up(specs);
    await first.event('allReady');
    const worker = stack.process('worker');

    const second = stack.up(specs);
    assert.equal(await second.exit(), 2);
    assert.match(second.stderr, /process \d+ runs the stack in \/.* since .*goto3 down/);
    assert.ok(isAlive(worker));
  });

  it('kills a child that ignores SIGTERM when its grace is over; a second SIGTERM ends the grace at once', async () => {
    const ports = await freePorts([undefined, undefined]);
    const up = stack.up([
      healthyChild('short', ports[0]!, { flags: ['--stubborn'], graceMs: 300 }),
      healthyChild('long', ports[1]!, { flags: ['--stubborn'], graceMs: 3_600_000, stopWave: 2 }),
    ]);
    await up.event('allReady');
    const children = ['short', 'long'].map((name) => stack.process(name));
    up.signal('SIGTERM');
    await up.event('killed', 'short');
    await up.event('stopping', 'long');
    await until('the child has refused to leave', () => stack.log('long').includes('not yet'));
    up.signal('SIGTERM');
    await up.event('killed', 'long');
    assert.equal(await up.exit(), 0);
    assert.ok(!children.some(isAlive));
  });

  it('backs off from a child that cannot start, and names its exit code', async () => {
    const [port] = await freePorts([undefined]);
    const up = stack.up([healthyChild('worker', port!, { flags: ['--fail'] })]);
    assert.equal((await up.event('died', 'worker')).how, 'exited with code 3');
    await up.event('died', 'worker', up.events.length);
    const waits = up.events.flatMap((event) => ('restartInMs' in event ? [event.restartInMs] : []));
    assert.deepEqual(waits.slice(0, 2), [500, 1_000]);
    assert.match(stack.log('worker'), /no licence/);
    up.signal('SIGTERM');
    assert.equal(await up.exit(), 1); // It was never ready, and `ready` says so.
    assert.match(up.stderr, /stopped before it was ready/);
  });
});
