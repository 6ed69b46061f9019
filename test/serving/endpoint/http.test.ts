import assert from 'node:assert/strict';
import { inferenceHeaders } from '../../../src/contracts/endpoint.ts';
import type { RunningEndpoint } from '../../../src/serving/endpoint/main.ts';
import { invoke, raw } from '../client.ts';
import { constantModel } from '../models.ts';
import { World } from '../world.ts';

const row = { x: 1, y: 1 };
const json = 'content-type: application/json\r\n';

describe('endpoint: bad HTTP', () => {
  let world: World;
  let endpoint: RunningEndpoint;
  before(async () => {
    world = await World.open();
    endpoint = await world.start({
      maxBodyBytes: 50_000,
      maxRowsPerRequest: 10,
      headersTimeoutMs: 300,
      requestTimeoutMs: 600,
    });
    await world.deployAndWait(endpoint, { model: await world.model(constantModel(0.7)) });
  });
  after(() => world.close());
  afterEach('it serves on', async () => {
    assert.equal((await invoke(endpoint, row)).status, 200);
  });

  const csv = { 'content-type': 'text/csv' };
  const named = { 'content-type': 'text/csv; header=present' };
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  const bodies: [name: string, body: unknown, status: number, message: RegExp, headers?: Record<string, string>][] = [
    ['no body', '', 400, /JSON, it is empty/],
    ['no JSON', 'subject=free', 400, /expected JSON/],
    ['cut JSON', '{"x": 1, ', 400, /expected JSON/],
    ['a number that is no JSON', '{"x": NaN, "y": 1}', 400, /expected JSON/],
    ['a list', [row], 400, /expected one row/],
    ['a text', '"text"', 400, /expected one row/],
    ['null', 'null', 400, /expected one row/],
    ['deep nesting', deep, 400, /expected one row|expected JSON/],
    ['deep nesting in a field', `{"x": ${deep}}`, 400, /body\.x: expected a string/],
    ['no instances', { instances: [] }, 400, /instances/],
    ['an instance that is no row', { instances: [row, 7] }, 400, /body\.instances\[1\]/],
    ['a nested field', { x: { value: 1 }, y: 1 }, 400, /body\.x: expected a string, number, boolean or null/],
    ['a field of another name', { instances: [row], other: 1 }, 400, /other/],
    ['a missing feature', { x: 1 }, 400, /"y"/],
    ['a feature of another type', { x: 1, y: 'one' }, 400, /"y"/],
    ['an infinite feature', '{"x": 1e999, "y": 1}', 400, /"x"|body\.x/],
    ['__proto__ as the only feature', '{"__proto__": {"x": 1, "y": 1}}', 400, /./],
    ['too many rows', { instances: Array.from({ length: 11 }, () => row) }, 413, /at most 10 rows, got 11/],
    ['too large a body', { x: 'a'.repeat(60_000) }, 413, /more than 50000 bytes/],
    ['invalid UTF-8', new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), 400, /UTF-8/],
    ['XML', '<x>1</x>', 415, /application\/json or text\/csv/, { 'content-type': 'text/xml' }],
    ['an answer in XML', row, 406, /text\/csv/, { accept: 'text/xml' }],
    ['no CSV', '', 400, /one line of CSV/, csv],
    ['CSV with a column too many', '1,2\n1,2,3', 400, /row 1: expected 2 columns \(x, y\), got 3/, csv],
    ['CSV with a column too few', '1', 400, /row 0: expected 2 columns \(x, y\), got 1/, csv],
    ['CSV with text', '1,one', 400, /row 0, feature "y": expected a finite number/, csv],
    ['CSV with a gap', '1,', 400, /feature "y": expected a finite number, got nothing/, csv],
    ['CSV with NaN', 'NaN,1', 400, /feature "x"/, csv],
    ['an unclosed quote', '1,"1', 400, /row 0: a quote is not closed/, csv],
    ['a header that is not announced', 'x,y\n1,1', 400, /feature "x"/, csv],
    ['an unknown column', 'x,z\n1,1', 400, /no feature "z", it has x, y/, named],
    ['a column that is missing', 'x\n1', 400, /feature "y": expected a column/, named],
    ['a column that is there twice', 'x,y,x\n1,1,1', 400, /feature "x": the header names it twice/, named],
    ['a header alone', 'x,y\n', 400, /one line of CSV/, named],
    ['too many lines', '1,1\n'.repeat(11), 413, /at most 10 rows/, csv],
    ['a number that no float holds', '1e39,1', 400, /feature "x": .*32 bits/, csv],
    ['a row by place that is too long', { features: [1, 2, 3] }, 400, /expected 2 columns \(x, y\), got 3/],
    ['a nested row by place', { features: [1, [2]] }, 400, /body\.features\[1\]/],
    ['another charset', row, 415, /UTF-8/, { 'content-type': 'application/json; charset=latin1' }],
    ['compression', row, 415, /compression/, { 'content-encoding': 'gzip' }],
    ['an empty inference id', row, 400, /inference-id/, { [inferenceHeaders.inferenceId]: '' }],
    ['a long inference id', row, 400, /inference-id/, { [inferenceHeaders.inferenceId]: 'i'.repeat(257) }],
    ['an inference id that is not ASCII', row, 400, /inference-id/, { [inferenceHeaders.inferenceId]: 'caf\u00e9' }],
    ['a variant that is not there', row, 400, /expected one of: stable/, { [inferenceHeaders.targetVariant]: '../x' }],
  ];
  for (const [name, body, status, message, headers] of bodies) {
    it(`refuses ${name} with ${status}`, async () => {
      const reply = await invoke(endpoint, body, headers);
      assert.equal(reply.status, status);
      assert.match(reply.error!.message, message);
      assert.doesNotMatch(JSON.stringify(reply.error), /\/tmp|\/work|\.ts|node:| at .*:\d/);
    });
  }

  it('takes a charset, and unknown headers', async () => {
    const headers = { 'content-type': 'application/json; charset=UTF-8', 'x-amzn-sagemaker-session-id': 'new' };
    assert.equal((await invoke(endpoint, row, headers)).status, 200);
  });

  it('answers other paths and methods with 404 and 405', async () => {
    const ask = async (path: string, method: string): Promise<[number, string | null]> => {
      const reply = await fetch(endpoint.url + path, { method });
      await reply.text();
      return [reply.status, reply.headers.get('allow')];
    };
    assert.deepEqual(await ask('/', 'GET'), [404, null]);
    assert.deepEqual(await ask('/../etc/passwd', 'GET'), [404, null]);
    assert.deepEqual(await ask('/constructor', 'GET'), [404, null]);
    assert.deepEqual(await ask('/invocations', 'GET'), [405, 'POST']);
    assert.deepEqual(await ask('/invocations', 'DELETE'), [405, 'POST']);
    assert.deepEqual(await ask('/ping?x=1', 'GET'), [200, null]);
    assert.deepEqual(await ask('/ping', 'HEAD'), [200, null]);
  });

  const lines: [name: string, bytes: string, status: RegExp][] = [
    ['TRACE', 'TRACE /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', /^HTTP\/1\.1 405/],
    ['CONNECT', 'CONNECT a.example:80 HTTP/1.1\r\nhost: x\r\n\r\n', /^$/],
    ['HTTP/0.9', 'GET /ping\r\n\r\n', /^HTTP\/1\.1 505/],
    ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', /^HTTP\/1\.1 400/],
    ['a header of 20 KB', `GET /ping HTTP/1.1\r\nhost: x\r\na: ${'b'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1\.1 431/],
    [
      '1,000 long headers',
      `GET /ping HTTP/1.1\r\nhost: x\r\n${'a: bcdefghijklmnopqrst\r\n'.repeat(1_000)}\r\n`,
      /^HTTP\/1\.1 431/,
    ],
    ['no host', 'GET /ping HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400/],
    [
      'two lengths',
      `POST /invocations HTTP/1.1\r\nhost: x\r\n${json}content-length: 5\r\ncontent-length: 6\r\n\r\nhello`,
      /^HTTP\/1\.1 400/,
    ],
    [
      'length and chunks',
      `POST /invocations HTTP/1.1\r\nhost: x\r\n${json}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1\.1 400/,
    ],
    [
      'a negative length',
      `POST /invocations HTTP/1.1\r\nhost: x\r\n${json}content-length: -1\r\n\r\n`,
      /^HTTP\/1\.1 400/,
    ],
    [
      'a promised 10 GB',
      `POST /invocations HTTP/1.1\r\nhost: x\r\n${json}content-length: 10000000000\r\n\r\n{`,
      /^HTTP\/1\.1 413/,
    ],
    [
      'a length that is a lie',
      `POST /invocations HTTP/1.1\r\nhost: x\r\n${json}content-length: 500\r\n\r\n{"x": 1}`,
      /^HTTP\/1\.1 (408|400)/,
    ],
    ['a header that never ends', 'GET /ping HTTP/1.1\r\nhost: x\r\na: ', /^HTTP\/1\.1 408/],
    [
      'endless chunks',
      `POST /invocations HTTP/1.1\r\nhost: x\r\n${json}transfer-encoding: chunked\r\n\r\n${`fa0\r\n${'x'.repeat(4_000)}\r\n`.repeat(20)}`,
      /^HTTP\/1\.1 413/,
    ],
  ];
  for (const [name, bytes, status] of lines) {
    it(`closes on ${name}`, async () => {
      assert.match(await raw(endpoint, bytes), status);
    });
  }

  it('answers pipelined requests in order and on one connection', async () => {
    const one = (last: boolean): string =>
      `POST /invocations HTTP/1.1\r\nhost: x\r\n${json}content-length: 14\r\n${last ? 'connection: close\r\n' : ''}\r\n{"x":1,"y": 1}`;
    const received = await raw(endpoint, one(false).repeat(99) + one(true), 10_000);
    assert.equal(received.match(/HTTP\/1\.1 200 OK/g)?.length, 100);
  });
});
