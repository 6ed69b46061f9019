import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { defaultPayloadConverter } from '@temporalio/common';
import { InvalidCodecKey } from '../../src/codec/errors.ts';
import { loadKeyring } from '../../src/codec/keyring.ts';
import { payloadCodec } from '../../src/codec/payload-codec.ts';
import { readPayloads, writePayloads } from '../../src/codec/payloads-json.ts';
import { type CodecServer, type CodecServerOptions, serveCodec } from '../../src/codec/server.ts';

const ui = 'http://127.0.0.1:8233';

describe('codec server', () => {
  let options: CodecServerOptions;
  let server: CodecServer;
  const body = writePayloads([defaultPayloadConverter.toPayload({ reason: 'because' })]);

  before(async () => {
    const keyring = await loadKeyring(['k1'], async () => randomBytes(32).toString('base64'));
    const codec = payloadCodec(keyring, 'default');
    options = { codec, namespace: 'default', origins: [ui], token: 'open sesame', port: 0 };
    server = await serveCodec(options);
  });
  after(() => server?.close());

  const post = async (path: string, sent: string, headers: Record<string, string> = {}): Promise<Response> =>
    await fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer open sesame', ...headers },
      body: sent,
    });

  it('listens on this machine alone', async () => {
    assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+$/);
    const { token: _token, ...open } = options;
    await assert.rejects(serveCodec({ ...open, host: '0.0.0.0' }), InvalidCodecKey);
  });

  it('encodes, and decodes what it encoded, as proto JSON', async () => {
    const encoded = await post('/encode', body, { 'x-namespace': 'default' });
    assert.equal(encoded.status, 200);
    const text = await encoded.text();
    assert.equal(Buffer.from(readPayloads(Buffer.from(text))[0]!.metadata!.encoding!).toString(), 'binary/encrypted');
    const decoded = await post('/decode', text);
    assert.deepEqual(await decoded.json(), JSON.parse(body));
  });

  it("answers pages of the Web UI's origin and no others", async () => {
    const preflight = await fetch(`${server.url}/decode`, { method: 'OPTIONS', headers: { origin: ui } });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get('access-control-allow-origin'), ui);
    assert.match(preflight.headers.get('access-control-allow-headers')!, /x-namespace/);
    assert.equal(preflight.headers.get('access-control-allow-credentials'), null);
    for (const origin of [
      'http://127.0.0.1:8234',
      'https://127.0.0.1:8233',
      'null',
      'http://127.0.0.1:8233.evil.test',
    ]) {
      const refused = await post('/decode', body, { origin });
      assert.equal(refused.status, 403, origin);
      assert.equal(refused.headers.get('access-control-allow-origin'), null);
    }
  });

  it('asks for its token', async () => {
    for (const authorization of ['', 'Bearer ', 'Bearer open', 'Basic open sesame'])
      assert.equal((await post('/decode', body, { authorization })).status, 401, authorization);
  });

  it('is for one namespace', async () => {
    assert.equal((await post('/decode', body, { 'x-namespace': 'prod' })).status, 403);
  });

  it('refuses what is not payloads with a word, and goes on', async () => {
    const bad = ['', '{', '[]', '{"payloads":1}', '{"payloads":[{"data":"%"}]}', '{"payloads":[{"metadata":{"a":1}}]}'];
    for (const sent of bad) {
      const refused = await post('/decode', sent);
      assert.equal(refused.status, 400, sent);
      assert.equal(typeof ((await refused.json()) as { error: string }).error, 'string');
    }
    const foreign = await payloadCodec(
      await loadKeyring(['k2'], async () => randomBytes(32).toString('base64')),
      'default',
    ).encode([defaultPayloadConverter.toPayload(1)]);
    assert.match(await (await post('/decode', writePayloads(foreign))).text(), /k2/);
    assert.equal((await post('/rotate', body)).status, 404);
    assert.equal((await fetch(`${server.url}/decode`)).status, 405);
    assert.equal((await post('/encode', body)).status, 200);
  });
});
