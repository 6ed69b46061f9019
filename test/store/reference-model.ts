import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Digest } from '../../src/contracts/digest.ts';
import { digestOf } from '../../src/store/canonical-json.ts';
import { NotFound, RefConflict } from '../../src/store/errors.ts';
import type { Ref, Store } from '../../src/store/types.ts';
import { bytes, collect, why } from './samples.ts';

/** What a store is, without disk, network or other writers: the tests hold real ones to it. */
class ReferenceStore {
  readonly blobs = new Map<Digest, Uint8Array>();
  readonly #logs = new Map<string, Ref[]>();

  log(name: string): Ref[] {
    return this.#logs.get(name) ?? [];
  }

  /** `written` is the entry to append if the log ends at `expected`; undefined means a conflict. */
  compareAndSet(name: string, expected: Ref | undefined, written: Omit<Ref, 'entry' | 'name'>): Ref | undefined {
    const log = this.log(name);
    const before = expected?.entry ?? 0;
    if (expected && log[before - 1]?.operation !== expected.operation) return undefined;
    if (expected && log[before - 1]?.digest !== expected.digest) return undefined;
    const standing = log[before];
    if (standing)
      return standing.operation === written.operation && standing.digest === written.digest ? standing : undefined;
    const entry = { name, entry: before + 1, ...written };
    this.#logs.set(name, [...log, entry]);
    return entry;
  }

  readAt(name: string, at: string): Ref | undefined {
    return this.log(name).findLast((entry) => entry.time <= at);
  }

  names(): string[] {
    return [...this.#logs.keys()].sort();
  }
}

type Command =
  | { do: 'put' | 'get'; body: number }
  | { do: 'compareAndSet'; ref: number; expected: number; body: number; operation: number }
  | { do: 'readAt'; ref: number; entry: number; offsetMs: number }
  | { do: 'history'; ref: number }
  | { do: 'list' };

const small = (max: number) => fc.integer({ min: 0, max });
export const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('put' as const, 'get' as const), body: small(3) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('compareAndSet' as const),
        ref: small(1),
        expected: small(8),
        body: small(2),
        operation: small(3),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('readAt' as const),
        ref: small(1),
        entry: small(4),
        offsetMs: fc.integer({ min: -1, max: 1 }),
      }),
    },
    fc.record({ do: fc.constant('history' as const), ref: small(1) }),
    fc.record({ do: fc.constant('list' as const) }),
  ),
  { minLength: 5, maxLength: 30 },
);

/** Runs the commands on both and compares every answer. `run` keeps runs in one store apart. */
export async function followsReference(store: Store, run: string, sequence: readonly Command[]): Promise<void> {
  const reference = new ReferenceStore();
  const nameOf = (ref: number): string => `${run}/${['a', 'a/b'][ref]}`;
  const bodyOf = (body: number): Uint8Array => bytes(`${run} body ${body}`);

  for (const command of sequence) {
    switch (command.do) {
      case 'put': {
        const body = bodyOf(command.body);
        assert.equal(await store.blobs.put(body), digestOf(body));
        reference.blobs.set(digestOf(body), body);
        break;
      }
      case 'get': {
        const digest = digestOf(bodyOf(command.body));
        const expected = reference.blobs.get(digest);
        assert.equal(await store.blobs.has(digest), expected !== undefined);
        if (expected) assert.deepEqual(Buffer.from(await store.blobs.read(digest)), Buffer.from(expected));
        else await assert.rejects(store.blobs.read(digest), NotFound);
        break;
      }
      case 'compareAndSet': {
        const name = nameOf(command.ref);
        // Any entry that a writer may remember, the newest most often, and none.
        const log = reference.log(name);
        const expected = command.expected === 0 ? undefined : log.at(-Math.min(command.expected, log.length));
        const next = digestOf(bodyOf(command.body));
        const reason = why(`operation-${command.operation}`);
        const answer = await store.refs.compareAndSet(name, expected, next, reason).catch((error: unknown) => error);
        const time = answer instanceof Error ? '' : (answer as Ref).time;
        const modelled = reference.compareAndSet(name, expected, { digest: next, ...reason, time });
        if (modelled) assert.deepEqual(answer, modelled);
        else assert.ok(answer instanceof RefConflict, `expected a conflict, got ${JSON.stringify(answer)}`);
        break;
      }
      case 'readAt': {
        const name = nameOf(command.ref);
        const known = reference.log(name)[command.entry];
        const at = new Date((known ? Date.parse(known.time) : Date.now()) + command.offsetMs);
        assert.deepEqual(await store.refs.read(name, at), reference.readAt(name, at.toISOString()));
        assert.deepEqual(await store.refs.read(name), reference.log(name).at(-1));
        break;
      }
      case 'history':
        assert.deepEqual(
          await collect(store.refs.history(nameOf(command.ref))),
          reference.log(nameOf(command.ref)).toReversed(),
        );
        break;
      case 'list':
        assert.deepEqual(await collect(store.refs.list(`${run}/`)), reference.names());
        break;
    }
  }
}
