import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningEndpoint } from '../../../src/serving/endpoint/main.ts';
import { invoke, raw } from '../client.ts';
import { constantModel, slowModel } from '../models.ts';
import { until } from '../waiting.ts';
import { World } from '../world.ts';

const row = { x: 1, y: 1 };
const maxConnections = 40;

describe('endpoint: clients that mean harm, or die', () => {
  let world: World;
  let endpoint: RunningEndpoint;
  const sockets: Socket[] = [];
  before(async () => {
    world = await World.open();
    endpoint = await world.start({
      maxConnections,
      maxBodyBytes: 1_000_000,
      maxBytesInFlight: 4_000_000,
      headersTimeoutMs: 700,
      requestTimeoutMs: 1_000,
    });
    await world.deployAndWait(endpoint, { model: await world.model(constantModel(0.7)) });
  });
  after(() => world.close());
  afterEach('it serves on', async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await until('it serves on', async () => (await ask()) === 200);
  });

  const ask = (): Promise<number> =>
    invoke(endpoint, row, { connection: 'close' }).then(
      ({ status }) => status,
      () => 0,
    );
  const open = async (): Promise<Socket> => {
    const socket = connect(Number(new URL(endpoint.url).port), '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };
  const head = (length: number | string): string =>
    `POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${
      typeof length === 'number' ? `content-length: ${length}` : length
    }\r\n\r\n`;
  const metric = async (pattern: RegExp): Promise<number> =>
    Number(pattern.exec(await (await fetch(`${endpoint.url}/metrics`)).text())?.[1] ?? 0);

  it('ends with 408 and a reason a body that trickles, and a header that does', async () => {
    for (const start of [head(1_000), 'POST /invocations HTTP/1.1\r\n']) {
      const socket = await open();
      let received = '';
      socket.on('data', (chunk) => {
        received += String(chunk);
      });
      const ended = new Promise((resolve) => socket.on('close', resolve));
      socket.write(start);
      const trickle = setInterval(() => socket.write(start === head(1_000) ? ' ' : 'a: b\r\n'), 50);
      await ended;
      clearInterval(trickle);
      assert.match(received, /^HTTP\/1\.1 408 /);
      assert.match(received, /\{"error":\{"type":"RequestTimeout","message":"[^"]+"\}\}$/);
    }
  });

  it('says what was wrong with what is no request', async () => {
    assert.match(await raw(endpoint, 'nonsense\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*"type":"BadRequest"/);
    const flood = `GET /ping HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(100_000)}\r\n`;
    assert.match(await raw(endpoint, flood), /^HTTP\/1\.1 431 [\s\S]*"type":"HeadersTooLarge"/);
  });

  it('does not keep a body of a gigabyte, whatever it says about its length', async () => {
    const before = process.memoryUsage().rss;
    const chunk = Buffer.alloc(1 << 16, 'x');
    const framed = Buffer.concat([Buffer.from('10000\r\n'), chunk, Buffer.from('\r\n')]);
    for (const [start, piece] of [
      [head('transfer-encoding: chunked'), framed],
      [head(2 ** 30), chunk],
    ] as const) {
      const socket = await open();
      let received = '';
      socket.on('data', (data) => {
        received += String(data);
      });
      const ended = new Promise((resolve) => socket.on('close', resolve));
      socket.write(start);
      for (let sent = 0; sent < 2 ** 30 && !socket.destroyed; sent += piece.length)
        if (!socket.write(piece)) await Promise.race([once(socket, 'drain').catch(() => {}), ended]);
      await ended;
      assert.match(received, /^HTTP\/1\.1 413 [\s\S]*BodyTooLarge/);
    }
    const grown = process.memoryUsage().rss - before;
    assert.ok(grown < 100 * 2 ** 20, `${(grown / 2 ** 20).toFixed(0)} MiB more`);
  });

  it('bounds what many half bodies hold together', async () => {
    const half = Buffer.alloc(600_000, ' ');
    const replies: string[] = [];
    for (let i = 0; i < 12; i += 1) {
      const socket = await open();
      socket.on('data', (data) => replies.push(String(data)));
      socket.write(head(900_000));
      socket.write(half);
    }
    await until('some are refused', () => replies.filter((reply) => /^HTTP\/1\.1 503 /.test(reply)).length >= 5);
    assert.ok(replies.every((reply) => /Overloaded|RequestTimeout/.test(reply)));
  });

  it('makes room when idle connections take every place', async () => {
    // Other callers of this process hold a few places too: the last ones may find the door closed already.
    let answered = 0;
    for (let i = 0; i < maxConnections; i += 1) {
      const socket = await open();
      socket.write('GET /ping HTTP/1.1\r\nhost: x\r\n\r\n');
      const said = once(socket, 'data').then(
        () => 1,
        () => 0,
      );
      answered += await Promise.race([said, new Promise<0>((resolve) => socket.on('close', () => resolve(0)))]);
    }
    assert.ok(answered >= maxConnections / 2, `${answered} held a connection`);
    // None of them is ended by a time limit yet, and whoever knocks in vain makes room for the next.
    await until('another caller gets in', async () => (await ask()) === 200);
    await until('somebody had to leave', () => sockets.some((socket) => socket.closed));
  });

  it('outlasts connections that say nothing', async () => {
    for (let i = 0; i < maxConnections + 20; i += 1) await open();
    await until('they are ended', async () => (await ask()) === 200, { withinMs: 5_000 });
  });

  it('loses nothing of the others when callers vanish in the middle of a batch', async () => {
    await world.deployAndWait(endpoint, { model: await world.model(slowModel(0.6, 600)) });
    const body = JSON.stringify(row);
    const good = Array.from({ length: 15 }, () => invoke(endpoint, row));
    for (let i = 0; i < 15; i += 1) {
      const socket = await open();
      socket.write(head(body.length) + body);
      if (i % 2 === 0) await delay(1);
      socket.resetAndDestroy();
    }
    const statuses = (await Promise.all(good)).map(({ status }) => status);
    assert.deepEqual(new Set(statuses), new Set([200]));
    await until('nothing waits any more', async () => (await metric(/queue_length\{[^}]*kind="caller"\} (\d+)/)) === 0);
    assert.equal(await metric(/inference_processes\{event="crashes"\} (\d+)/), 0);
  });
});
