import { randomUUID } from 'node:crypto';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../../src/contracts/digest.ts';
import { openStore } from '../../../src/store/open.ts';
import { openBucket, type S3StoreOptions } from '../../../src/store/s3/store.ts';
import type { KeptStore } from '../../../src/store/upkeep.ts';
import { collect } from '../../store/samples.ts';
import { FaultProxy } from './fault-proxy.ts';
import { awsVariables, Versitygw, withVariables } from './server.ts';

/** A store in a bucket of a real server, behind a proxy that the test commands. */
export class BucketOfTest {
  readonly server: Versitygw;
  readonly proxy: FaultProxy;
  readonly url = `s3://goto3-test/${randomUUID()}/store`;
  readonly #restore: () => void;

  private constructor(server: Versitygw, proxy: FaultProxy) {
    this.server = server;
    this.proxy = proxy;
    this.#restore = withVariables(awsVariables(proxy.url));
  }

  static async start(chance: { seed?: number; share?: number } = {}): Promise<BucketOfTest> {
    const server = await Versitygw.start();
    return new BucketOfTest(server, await FaultProxy.start(server.url, chance));
  }

  async stop(): Promise<void> {
    this.#restore();
    await this.proxy.stop();
    await this.server.stop();
  }

  open(options: S3StoreOptions = {}): Promise<KeptStore> {
    return openStore(this.url, { s3: { endpoint: this.proxy.url, idleMs: 4_000, ...options } });
  }

  /** The file behind a blob, on the server's disk. */
  fileOf(digest: Digest): string {
    const digits = digest.slice('sha256:'.length);
    return join(this.server.folder, this.url.slice('s3://'.length), 'blobs', digits.slice(0, 2), digits);
  }

  /** Makes a blob look as if it had been put so many days ago. */
  async age(digest: Digest, days: number): Promise<void> {
    const then = new Date(Date.now() - days * 86_400_000);
    await utimes(this.fileOf(digest), then, then);
  }

  /** Multipart uploads that are neither complete nor aborted. */
  async openUploads(): Promise<number> {
    const { bucket, root } = await openBucket(this.url, { endpoint: this.server.url });
    return (await collect(bucket.uploads(root))).length;
  }
}
