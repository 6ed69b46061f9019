import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';

export interface S3DataSource {
  S3DataType?: string;
  S3Uri?: string;
}

/** A fault of the request, as FailureReason tells it. */
export class ClientError extends Error {}

/** What SageMaker itself does in S3 for a training job, with the rights of the job's role. */
export class Objects {
  readonly #s3: S3Client;

  constructor(s3: S3Client) {
    this.#s3 = s3;
  }

  /**
   * Input mode File: all objects of a channel below /opt/ml/input/data/<channel>. S3Prefix: their keys below the prefix;
   * ManifestFile: `[{"prefix": …}, "key", …]`, their keys below the manifest's prefix
   * (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html; the file names of a manifest: assumed).
   */
  async fetchChannel({ S3DataType, S3Uri = '' }: S3DataSource, folder: string): Promise<void> {
    await mkdir(folder, { recursive: true });
    const { bucket, key } = parse(S3Uri);
    const wanted = S3DataType === 'ManifestFile' ? await this.#manifest(bucket, key) : await this.#below(bucket, key);
    if (wanted.length === 0) throw new ClientError(`Data download failed:No S3 objects found under S3 URL "${S3Uri}"`);
    for (const each of wanted) await this.#fetch(each.bucket, each.key, join(folder, each.path));
  }

  /** Checkpoints: everything below the URI, or nothing yet. */
  async fetchFolder(uri: string, folder: string): Promise<void> {
    await mkdir(folder, { recursive: true });
    const { bucket, key } = parse(uri);
    for (const each of await this.#below(bucket, key)) await this.#fetch(bucket, each.key, join(folder, each.path));
  }

  /** Files that are new or changed since `seen`, which this updates. Deleted files stay in S3. */
  async sync(folder: string, uri: string, seen: Map<string, string>): Promise<void> {
    const { bucket, key } = parse(uri);
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])) {
      const path = join(entry.parentPath, entry.name);
      const facts = entry.isFile() ? await stat(path).catch(() => undefined) : undefined;
      if (!facts) continue;
      const version = `${facts.mtimeMs} ${facts.size} ${facts.ino}`;
      if (seen.get(path) === version) continue;
      const bytes = await buffer(createReadStream(path)).catch(() => undefined);
      if (!bytes) continue;
      await this.#s3.send(
        new PutObjectCommand({ Bucket: bucket, Key: `${key}${path.slice(folder.length + 1)}`, Body: bytes }),
      );
      seen.set(path, version);
    }
  }

  /** A folder as a gzipped tar, made by the system's own tar; nothing for an empty folder. */
  async upload(folder: string, uri: string): Promise<boolean> {
    const entries = await readdir(folder).catch(() => []);
    if (entries.length === 0) return false;
    const { bucket, key } = parse(uri);
    const tar = spawn('tar', ['-czf', '-', '-C', folder, ...entries], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [bytes, [code]] = await Promise.all([buffer(tar.stdout), once(tar, 'close') as Promise<[number]>]);
    if (code !== 0) throw new Error(`tar ended with ${code}`);
    await this.#s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
    return true;
  }

  async #manifest(bucket: string, key: string) {
    const { Body } = await this.#s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    const [{ prefix }, ...keys] = JSON.parse(await Body!.transformToString()) as [{ prefix: string }, ...string[]];
    const base = parse(prefix);
    return keys.map((path) => ({ bucket: base.bucket, key: `${base.key}${path}`, path }));
  }

  async #below(bucket: string, prefix: string) {
    const found: { bucket: string; key: string; path: string }[] = [];
    for (let token: string | undefined; ; ) {
      const page = await this.#s3.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ...(token && { ContinuationToken: token }) }),
      );
      for (const { Key = '' } of page.Contents ?? []) {
        const path = Key.slice(prefix.endsWith('/') ? prefix.length : prefix.lastIndexOf('/') + 1);
        if (path !== '' && !path.endsWith('/')) found.push({ bucket, key: Key, path });
      }
      if (!page.IsTruncated) return found;
      token = page.NextContinuationToken;
    }
  }

  async #fetch(bucket: string, key: string, path: string): Promise<void> {
    const { Body } = await this.#s3.send(new GetObjectCommand({ Bucket: bucket, Key: key })).catch((error: Error) => {
      throw new ClientError(`Data download failed:${error.name} for "s3://${bucket}/${key}"`);
    });
    await mkdir(dirname(path), { recursive: true });
    await pipeline(Body as Readable, createWriteStream(path));
  }
}

function parse(uri: string): { bucket: string; key: string } {
  const [, bucket, key = ''] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(uri) ?? [];
  if (bucket === undefined) throw new ClientError(`"${uri}" is not an S3 URI`);
  return { bucket, key };
}
