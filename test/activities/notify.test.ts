import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createNotifyActivities } from '../../src/activities/notify.ts';
import type { NotifyActivities } from '../../src/contracts/activities.ts';
import type { NotifyEvent } from '../../src/contracts/messages.ts';
import { refNames } from '../../src/contracts/names.ts';
import { House, run } from './house.ts';

describe('the webhook', () => {
  let house: House;
  let notices: NotifyActivities;
  let server: Server;
  let posts: { path: string | undefined; key: string | undefined; body: unknown }[];
  let status: number;
  beforeEach(async () => {
    house = await House.open();
    notices = createNotifyActivities({ store: house.store, secrets: house.programs.secrets });
    posts = [];
    status = 204;
    server = createServer((request: IncomingMessage, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const key = request.headers['idempotency-key'] as string | undefined;
        posts.push({ path: request.url, key, body: JSON.parse(Buffer.concat(chunks).toString()) });
        response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end('x'.repeat(100));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    house.secrets.set('oncall', `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook/s3cr3t-token`);
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await house.close();
  });

  const notify = async (event: NotifyEvent = 'parked', key = 'cycle/spam/1/run/1') => {
    const specDigest = await house.apply({ notify: { on: ['parked', 'paused'], webhook: { secret: 'oncall' } } });
    const notice = { key, event, text: 'it waits', command: 'goto3 cycle retry spam/1' };
    await run(notices.notify, { loop: 'spam', n: 1, specDigest, notice });
  };
  const hides = (message: RegExp) => (error: Error) => {
    assert.match(error.message, message);
    assert.doesNotMatch(`${error.message} ${error.stack} ${String(error.cause)}`, /s3cr3t|127\.0\.0\.1/);
    assert.ok(!('nonRetryable' in error && error.nonRetryable), 'it is tried again');
    return true;
  };

  it('gets what happened, its key, and the command that unblocks it', async () => {
    await notify();
    const key = 'cycle/spam/1/run/1';
    const command = 'goto3 cycle retry spam/1';
    assert.deepEqual(posts, [
      {
        ...{ path: '/hook/s3cr3t-token', key },
        body: { key, event: 'parked', loop: 'spam', cycle: 1, text: 'it waits', command },
      },
    ]);
  });

  it('gets a notice once, whoever brings it again', async () => {
    await notify();
    await notify();
    notices = createNotifyActivities({ store: house.store, secrets: house.programs.secrets });
    await notify();
    assert.equal(posts.length, 1);
    await notify('parked', 'cycle/spam/1/run/2');
    assert.equal(posts.length, 2, 'parked again is news again');
  });

  it('is the one that the loop has now, where who speaks of it carries no spec', async () => {
    const notice = { key: 'endpoint/mail/blocked/7', event: 'parked' as const, text: 'it waits', command: null };
    await run(notices.notify, { loop: 'spam', n: null, specDigest: null, notice });
    assert.deepEqual(posts, [], 'a loop that nobody has applied');
    const digest = await house.apply({ notify: { on: ['parked'], webhook: { secret: 'oncall' } } });
    const why = { operation: 'apply', by: 'ann', reason: 'first' };
    const name = refNames.loopSpec('spam');
    await house.store.refs.compareAndSet(name, await house.store.refs.read(name), digest, why);
    await run(notices.notify, { loop: 'spam', n: null, specDigest: null, notice });
    assert.deepEqual(
      posts.map(({ key }) => key),
      ['endpoint/mail/blocked/7'],
    );
  });

  it('gets nothing that the spec does not ask for', async () => {
    await notify('rolledBack');
    const notice = { key: 'k', event: 'parked' as const, text: 'it waits', command: null };
    await run(notices.notify, { loop: 'spam', n: null, specDigest: await house.apply(), notice });
    assert.deepEqual(posts, []);
  });

  it('that refuses, redirects or is away is asked again, and its address is in no error', async () => {
    status = 500;
    await assert.rejects(notify(), hides(/the webhook answered 500/));
    status = 302;
    await assert.rejects(notify(), hides(/the webhook did not answer/));
    house.secrets.set('oncall', 'http://127.0.0.1:1/s3cr3t');
    await assert.rejects(notify(), hides(/the webhook did not answer/));
    house.secrets.set('oncall', 'no address: s3cr3t');
    await assert.rejects(notify(), hides(/the webhook did not answer/));
    house.secrets.delete('oncall');
    await assert.rejects(notify(), hides(/no secret oncall/));
  });
});
