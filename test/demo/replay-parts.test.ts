import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { askAboutMails } from '../../examples/spam-filter/replay/ask-endpoint.ts';
import { RecordedAnswers } from '../../examples/spam-filter/replay/recorded-answers.ts';
import { RolloutTraffic } from '../../examples/spam-filter/replay/rollout-traffic.ts';
import { until } from '../../examples/spam-filter/replay/until.ts';
import { type CaptureRecord, DesiredState, inferenceHeaders } from '../../src/contracts/endpoint.ts';
import { refNames } from '../../src/contracts/names.ts';
import { putJson } from '../../src/store/manifests.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/types.ts';
import { capture, digestOfDigit, temporaryFolder } from '../store/samples.ts';
import { mail } from './weeks.ts';

type Handler = (request: IncomingMessage, body: string, response: ServerResponse) => void;

/** A server that answers as a test wants it to. */
async function serve(handler: Handler): Promise<{ url: string; close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => handler(request, body, response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}

const idOf = (request: IncomingMessage): string => String(request.headers[inferenceHeaders.inferenceId]);
const answer = (response: ServerResponse, status: number, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end('{"predictions":[]}');
};

describe('Asking about the mails of a week', () => {
  const never = new AbortController().signal;

  it('sends each mail once, named by its id, with nothing but what the model may see', async () => {
    const seen: [string, unknown][] = [];
    let [underWay, most] = [0, 0];
    const server = await serve((request, body, response) => {
      most = Math.max(most, ++underWay);
      seen.push([idOf(request), JSON.parse(body)]);
      setImmediate(() => {
        underWay--;
        answer(response, 200);
      });
    });
    try {
      const mails = Array.from({ length: 40 }, (_, i) => mail(`m${i}`, i % 2 === 0));
      const told: number[] = [];
      const options = { url: server.url, concurrency: 4, signal: never, onAnswered: (n: number) => told.push(n) };
      assert.deepEqual(await askAboutMails(mails, options), []);
      assert.deepEqual(new Set(seen.map(([id]) => id)), new Set(mails.map(({ messageId }) => messageId)));
      assert.equal(seen.length, 40);
      assert.deepEqual(seen.find(([id]) => id === 'm7')?.[1], { subject: 'subject of m7', body: 'body of m7' });
      assert.deepEqual(
        told,
        Array.from({ length: 40 }, (_, i) => i + 1),
      );
      assert.ok(most > 1 && most <= 4, `${most} at once`);
    } finally {
      await server.close();
    }
  });

  it('comes again after 503, when the endpoint says', async () => {
    const times: number[] = [];
    const server = await serve((_request, _body, response) => {
      times.push(performance.now());
      if (times.length === 1) answer(response, 503, { 'retry-after': '1' });
      else answer(response, 200);
    });
    try {
      assert.deepEqual(await askAboutMails([mail('m1')], { url: server.url, concurrency: 1, signal: never }), []);
      assert.equal(times.length, 2);
      assert.ok(times[1]! - times[0]! >= 990, `${times[1]! - times[0]!} ms later`);
    } finally {
      await server.close();
    }
  });

  it('gives the mails back that got no answer, with the reason, and asks about the others', async () => {
    const server = await serve((request, _body, response) => {
      const id = idOf(request);
      if (id === 'bad') answer(response, 500);
      else if (id === 'busy') answer(response, 503, { 'retry-after': '0' });
      else if (id === 'cut') request.socket.destroy();
      else answer(response, 200);
    });
    try {
      const mails = ['bad', 'm1', 'busy', 'cut', 'm2'].map((id) => mail(id));
      const options = { url: server.url, concurrency: 2, signal: never, retryForMs: 50 };
      const failed = await askAboutMails(mails, options);
      assert.deepEqual(new Set(failed.map(({ messageId }) => messageId)), new Set(['bad', 'busy', 'cut']));
      assert.match(failed.find(({ messageId }) => messageId === 'bad')!.problem, /^500 /);
      assert.match(failed.find(({ messageId }) => messageId === 'busy')!.problem, /^503 /);
    } finally {
      await server.close();
    }
  });

  it('stops when it is interrupted', async () => {
    const stop = new AbortController();
    const server = await serve(() => stop.abort(new Error('enough')));
    try {
      await assert.rejects(
        askAboutMails([mail('m1')], { url: server.url, concurrency: 1, signal: stop.signal }),
        /enough/,
      );
    } finally {
      await server.close();
    }
  });
});

describe('What the store knows during the replay', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let store: Store;
  beforeEach(async () => {
    folder = await temporaryFolder();
    store = await openStore(folder.path);
  });
  afterEach(() => folder.remove());

  const answered = (id: string, label: string, more: Partial<CaptureRecord> = {}): CaptureRecord => ({
    ...capture(id),
    variant: 'current',
    answer: { label, score: 0.5 },
    ...more,
  });

  it('answers to callers, answers of the frozen shadow, and nothing of other shadows, errors and background traffic', async () => {
    const answers = new RecordedAnswers(store.captures, 'mail');
    await store.captures.append('mail', 'r1', [
      answered('m1', 'true'),
      answered('m1', 'false', { shadow: true, variant: 'frozen' }),
      answered('m1', 'false', { shadow: true, variant: 'stable' }),
      answered('b1', 'true', { background: true }),
      answered('b1', 'true', { background: true, shadow: true, variant: 'frozen' }),
      { ...answered('m2', 'true'), answer: null, error: 'PredictionFailed' },
    ]);
    await answers.readOn();
    assert.deepEqual([...answers.loop], [['m1', 'true']]);
    assert.deepEqual([...answers.frozen], [['m1', 'false']]);
    assert.equal(answers.background, 1);
    await store.captures.append('mail', 'r1', [answered('m2', 'false')]);
    await answers.readOn();
    assert.deepEqual([...answers.loop.keys()], ['m1', 'm2']);
    assert.equal(answers.background, 1, 'nothing is read twice');
  });

  it('when a canary runs: then, and only then, mails already seen are sent again as background', async () => {
    const bodies: unknown[] = [];
    const marks = new Set<unknown>();
    const server = await serve((request, body, response) => {
      bodies.push(JSON.parse(body));
      marks.add(request.headers[inferenceHeaders.customAttributes]);
      answer(response, 200);
    });
    const stop = new AbortController();
    const traffic = new RolloutTraffic({
      store,
      endpoint: 'mail',
      url: server.url,
      rows: () => ({ subject: 'seen before', body: '' }),
      ratePerSecond: 200,
      signal: stop.signal,
    });
    const running = traffic.run();
    try {
      const wait = { everyMs: 10, withinMs: 5_000, signal: new AbortController().signal };
      await desire(1, [['current', 100]]);
      await desire(2, [['candidate', 100]]);
      await desire(3, [
        ['current', 75],
        ['candidate', 25],
      ]);
      await until(async () => (traffic.current?.answered ?? 0) >= 5 || undefined, {
        ...wait,
        what: 'requests during the canary',
      });
      await desire(4, [['current', 100]]);
      await until(async () => traffic.current === undefined || undefined, { ...wait, what: 'no more requests' });
      assert.equal(traffic.total.sent, bodies.length);
      assert.deepEqual([...marks], ['traffic=background']);
      assert.deepEqual(bodies[0], { subject: 'seen before', body: '' });
    } finally {
      stop.abort();
      await running;
      await server.close();
    }
    assert.equal(traffic.total.failed, 0);

    async function desire(generation: number, variants: [name: string, weight: number][]): Promise<void> {
      const name = refNames.desired('mail');
      const digest = await putJson(store, DesiredState, {
        schema: 'goto3/desired/v1',
        endpoint: 'mail',
        generation,
        variants: variants.map(([variant, weight]) => ({
          name: variant,
          model: digestOfDigit(variant === 'current' ? 'a' : 'b'),
          weight,
          shadow: false,
        })),
        frozen: null,
      });
      const before = await store.refs.read(name);
      await store.refs.compareAndSet(name, before, digest, { operation: `g${generation}`, by: 'test', reason: 'test' });
    }
  });
});
