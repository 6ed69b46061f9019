import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import fc from 'fast-check';
import { CodecKeyMissing, InvalidCodecKey, PayloadRefused } from '../../src/codec/errors.ts';
import { type Keyring, loadKeyring, secretOfKey } from '../../src/codec/keyring.ts';
import { isEncrypted, keyIdMetadata, payloadCodec } from '../../src/codec/payload-codec.ts';

const secrets = new Map(['old', 'new', 'other'].map((id) => [secretOfKey(id), randomBytes(32).toString('base64')]));
const ring = async (...ids: string[]): Promise<Keyring | undefined> =>
  await loadKeyring(ids, async (name) => secrets.get(name)!);
const payloadOf = (value: unknown): Payload => defaultPayloadConverter.toPayload(value);
const bytesOf = (payload: Payload): Buffer => Buffer.from(payload.data!);

describe('payload codec', () => {
  it('gives back what it took, whatever the value, and shows none of it', async () => {
    const codec = payloadCodec(await ring('new'), 'default');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue(), { maxLength: 4 }), fc.uint8Array({ minLength: 12 }), async (v, raw) => {
        const plain = [...v, raw].map(payloadOf);
        const encoded = await codec.encode(plain);
        assert.ok(encoded.every(isEncrypted));
        for (const payload of encoded) assert.equal(bytesOf(payload).includes(Buffer.from(raw)), false);
        const back = (await codec.decode(encoded)).map((payload) => defaultPayloadConverter.fromPayload(payload));
        assert.deepEqual(
          back,
          plain.map((payload) => defaultPayloadConverter.fromPayload(payload)),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('never uses a nonce twice', async () => {
    const codec = payloadCodec(await ring('new'), 'default');
    const encoded = await codec.encode(Array.from({ length: 5_000 }, () => payloadOf('the same')));
    assert.equal(new Set(encoded.map((payload) => bytesOf(payload).subarray(0, 12).toString('hex'))).size, 5_000);
  });

  it('refuses a payload in which any one bit is changed, and one that is cut off anywhere', async () => {
    const codec = payloadCodec(await ring('new'), 'default');
    const [encoded] = await codec.encode([payloadOf({ reason: 'labels were corrected' })]);
    const { length } = bytesOf(encoded!);
    const refused = async (data: Buffer): Promise<void> =>
      await assert.rejects(codec.decode([{ ...encoded, data }]), PayloadRefused);
    for (let bit = 0; bit < length * 8; bit += 1) {
      const data = Buffer.from(bytesOf(encoded!));
      data[bit >> 3]! ^= 1 << (bit & 7);
      await refused(data);
    }
    for (let end = 0; end < length; end += 1) await refused(bytesOf(encoded!).subarray(0, end));
  });

  it('reads what older keys wrote and writes with the first one only', async () => {
    const before = payloadCodec(await ring('old'), 'default');
    const rotated = payloadCodec(await ring('new', 'old'), 'default');
    const [written] = await before.encode([payloadOf('then')]);
    assert.equal(defaultPayloadConverter.fromPayload((await rotated.decode([written!]))[0]!), 'then');
    const [now] = await rotated.encode([payloadOf('now')]);
    assert.equal(Buffer.from(now!.metadata![keyIdMetadata]!).toString(), 'new');
    await assert.rejects(before.decode([now!]), CodecKeyMissing);
  });

  it('names the id of a key that it has not, and the ones it has, and never a key', async () => {
    const [encoded] = await payloadCodec(await ring('old'), 'default').encode([payloadOf('x')]);
    const failure = await payloadCodec(await ring('new', 'other'), 'default')
      .decode([encoded!])
      .then(
        () => assert.fail('expected a refusal'),
        (error: unknown) => error,
      );
    assert.ok(failure instanceof CodecKeyMissing);
    assert.equal(failure.keyId, 'old');
    assert.equal(failure.type, 'CodecKeyMissing');
    assert.match(failure.message, /"old".*new, other.*GOTO3_CODEC_KEYS/);
    for (const key of secrets.values()) assert.equal(failure.message.includes(key), false);
  });

  it('is bound to the namespace and to the id: moved or relabelled bytes are refused', async () => {
    const both = await ring('new', 'old');
    const [encoded] = await payloadCodec(both, 'staging').encode([payloadOf('x')]);
    await assert.rejects(payloadCodec(both, 'default').decode([encoded!]), PayloadRefused);
    const relabelled = { ...encoded, metadata: { ...encoded!.metadata, [keyIdMetadata]: Buffer.from('old') } };
    await assert.rejects(payloadCodec(both, 'staging').decode([relabelled]), PayloadRefused);
  });

  it('lets plain payloads pass, so that it can be turned on under running loops', async () => {
    const plain = [payloadOf({ a: 1 }), payloadOf(undefined), payloadOf(new Uint8Array([1]))];
    assert.deepEqual(await payloadCodec(await ring('new'), 'default').decode(plain), plain);
  });

  it('without keys encodes nothing, and refuses what is encoded instead of passing it on unread', async () => {
    const off = payloadCodec(undefined, 'default');
    const plain = [payloadOf('in the clear')];
    assert.deepEqual(await off.encode(plain), plain);
    const encoded = await payloadCodec(await ring('new'), 'default').encode(plain);
    await assert.rejects(off.decode(encoded), (error: Error) => /"new".*no key is configured/.test(error.message));
  });
});

describe('keyring', () => {
  it('refuses keys that are none, without showing them', async () => {
    for (const text of ['', 'short', randomBytes(16).toString('base64'), `${randomBytes(32).toString('base64')}!`])
      await assert.rejects(
        loadKeyring(['bad'], async () => text),
        (error: Error) =>
          error instanceof InvalidCodecKey &&
          /"codec-key-bad"/.test(error.message) &&
          (text === '' || !error.message.includes(text)),
      );
  });

  it('refuses ids that are no names, and an id that occurs twice', async () => {
    for (const ids of [['../x'], ['A'], ['a\nb'], ['x'.repeat(60)], ['old', 'old']])
      await assert.rejects(
        loadKeyring(ids, async () => secrets.get('codec-key-old')!),
        InvalidCodecKey,
      );
  });

  it('of no ids is none', async () => assert.equal(await ring(), undefined));
});
