import { createHash, type Hash } from 'node:crypto';
import { downloadFile, HubApiError, type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub';
import type { Digest } from '../contracts/digest.ts';
import { InvalidInput } from '../store/errors.ts';
import { HubUnavailable } from './errors.ts';

export interface HubOptions {
  /** `https://huggingface.co` when left out. */
  readonly url?: string;
  /** For gated and private models; never in a message. */
  readonly accessToken?: string;
  /** A request that brings nothing for so long has failed. */
  readonly stallMs?: number;
  readonly signal?: AbortSignal;
}

export interface HubFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Of large files the hub knows the SHA-256, so one that the store has need not be fetched. */
  readonly digest: Digest | undefined;
  /** Git's name of small ones: SHA-1 of a header and the bytes. */
  readonly gitId: string | undefined;
}

/** One model repository at one commit, read through Hugging Face's own client. */
export class HubRepo {
  private readonly repo: string;
  private readonly options: HubOptions;

  constructor(repo: string, options: HubOptions) {
    this.repo = repo;
    this.options = options;
  }

  /** The commit that a branch, a tag or a commit stands for now. */
  async commitOf(revision: string): Promise<string> {
    return this.asking(revision, async (shared) => {
      const { sha } = await modelInfo({ name: this.repo, revision, additionalFields: ['sha'], ...shared });
      return sha;
    });
  }

  async files(revision: string): Promise<HubFile[]> {
    return this.asking(revision, async (shared) => {
      const files: HubFile[] = [];
      for await (const entry of listFiles({ repo: this.repo, revision, recursive: true, ...shared })) {
        if (entry.type === 'file') files.push(hubFile(entry));
      }
      return files;
    });
  }

  /**
   * The bytes of a file, in chunks; what arrives is compared with what the hub promised when the last chunk has been taken.
   * Throws `HubUnavailable` for less, more or other bytes.
   */
  async *read(revision: string, file: HubFile): AsyncGenerator<Uint8Array> {
    const watch = this.watch();
    const hash = hashOf(file);
    let received = 0;
    try {
      const blob = await downloadFile({
        repo: this.repo,
        revision,
        path: file.path,
        xet: false,
        ...this.shared(watch),
      });
      if (blob === null) throw new HubUnavailable('it lists the file and does not have it');
      for await (const chunk of blob.stream()) {
        const bytes = chunk as Uint8Array;
        watch.touch();
        received += bytes.length;
        if (received > file.sizeBytes)
          throw new HubUnavailable(`more than the promised ${file.sizeBytes} bytes arrived`);
        hash?.update(bytes);
        yield bytes;
      }
      if (received < file.sizeBytes) throw new HubUnavailable(`${received} of ${file.sizeBytes} bytes arrived`);
      this.check(file, hash);
    } catch (error) {
      throw this.explain(error, `${revision}: ${file.path}`, watch);
    } finally {
      watch.stop();
    }
  }

  private check(file: HubFile, hash: Hash | undefined): void {
    const found = hash?.digest('hex');
    const expected = file.digest?.slice('sha256:'.length) ?? file.gitId;
    if (found !== expected) throw new HubUnavailable(`its bytes hash to ${found}, the hub promised ${expected}`);
  }

  private async asking<T>(revision: string, ask: (shared: Shared) => Promise<T>): Promise<T> {
    const watch = this.watch();
    try {
      return await ask(this.shared(watch));
    } catch (error) {
      throw this.explain(error, revision, watch);
    } finally {
      watch.stop();
    }
  }

  private shared(watch: Watch): Shared {
    const { url, accessToken } = this.options;
    return {
      fetch: (input, init) => {
        watch.touch();
        return fetch(input, { ...init, signal: watch.signal });
      },
      ...(url === undefined ? {} : { hubUrl: url }),
      ...(accessToken === undefined ? {} : { accessToken }),
    };
  }

  private watch(): Watch {
    return new Watch(this.options.stallMs ?? 60_000, this.options.signal);
  }

  /** What no retry repairs is `InvalidInput`; the rest is `HubUnavailable`. */
  private explain(error: unknown, what: string, watch: Watch): Error {
    this.options.signal?.throwIfAborted();
    const place = `hub ${this.repo}@${what}`;
    if (watch.stalled) return new HubUnavailable(`${place}: nothing arrived for ${this.options.stallMs ?? 60_000} ms`);
    if (error instanceof HubUnavailable) return new HubUnavailable(`${place}: ${error.message}`, { cause: error });
    if (error instanceof HubApiError) {
      const { statusCode } = error;
      if (statusCode === 404) return new InvalidInput(`${place}: the hub does not know it`, { cause: error });
      if (statusCode === 401 || statusCode === 403) {
        return new InvalidInput(
          `${place}: the hub refuses (${statusCode}): private, gated or misspelt; an access token of somebody who may read it is needed`,
        );
      }
      return new HubUnavailable(`${place}: the hub answered ${statusCode}`, { cause: error });
    }
    // The client turns a failed stream into a text; fetch throws TypeError for whatever went wrong on the way.
    return new HubUnavailable(`${place}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

type Shared = { fetch: typeof fetch; hubUrl?: string; accessToken?: string };

/** Aborts a request when nothing has arrived for a while, or when the caller gives up. */
class Watch {
  stalled = false;
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private readonly outer: AbortSignal | undefined;
  private readonly onAbort = (): void => this.controller.abort(this.outer?.reason);

  constructor(stallMs: number, outer: AbortSignal | undefined) {
    this.outer = outer;
    this.timer = setTimeout(() => {
      this.stalled = true;
      this.controller.abort(new Error('stalled'));
    }, stallMs);
    if (outer?.aborted) this.onAbort();
    outer?.addEventListener('abort', this.onAbort);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  touch(): void {
    this.timer.refresh();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.outer?.removeEventListener('abort', this.onAbort);
  }
}

function hubFile({ path, size, oid, lfs }: ListFileEntry): HubFile {
  if (lfs !== undefined) return { path, sizeBytes: lfs.size, digest: `sha256:${lfs.oid}`, gitId: undefined };
  return { path, sizeBytes: size, digest: undefined, gitId: oid };
}

function hashOf({ digest, gitId, sizeBytes }: HubFile): Hash | undefined {
  if (digest !== undefined) return createHash('sha256');
  return gitId === undefined ? undefined : createHash('sha1').update(`blob ${sizeBytes}\0`);
}
