import type { Readable } from 'node:stream';
import type { CompletedPart, S3Client } from '@aws-sdk/client-s3';
import type { Digest } from '../../contracts/digest.ts';
import type { S3Clients, S3Sdk } from './client.ts';
import { isConflict, isMissing, isPreconditionFailed, missingFile, typedFailure } from './failures.ts';
import { patiently } from './patience.ts';

export interface BucketOptions {
  bucket: string;
  /** 12 digits; every request is refused when the bucket is somebody else's. */
  expectedOwner?: string;
  /** Id, alias or ARN: objects are encrypted with it (SSE-KMS); else as the bucket says. */
  kmsKey?: string;
}

export interface ObjectFacts {
  sizeBytes: number;
  modifiedAtMs: number;
}
export interface ListedObject extends ObjectFacts {
  key: string;
}

/** One part of a multipart upload; the server has checked it against its CRC. */
export interface UploadedPart {
  number: number;
  etag: string;
  crc32: string | undefined;
}

/**
 * The S3 requests that the store makes, and no others. Transport failures are retried by the SDK, with jitter; what is
 * left comes out typed: ENOENT for a missing object, `StoreUnavailable` for the rest.
 */
export class Bucket {
  readonly #sdk: S3Sdk;
  readonly #client: S3Client;
  readonly #once: S3Client;
  readonly #bucket: { Bucket: string; ExpectedBucketOwner?: string };
  readonly #encryption: { ServerSideEncryption?: 'aws:kms'; SSEKMSKeyId?: string; BucketKeyEnabled?: boolean };

  constructor({ sdk, client, once }: S3Clients, { bucket, expectedOwner, kmsKey }: BucketOptions) {
    this.#sdk = sdk;
    this.#client = client;
    this.#once = once;
    this.#bucket = { Bucket: bucket, ...(expectedOwner && { ExpectedBucketOwner: expectedOwner }) };
    this.#encryption = kmsKey ? { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: kmsKey, BucketKeyEnabled: true } : {};
  }

  where(key: string): string {
    return `s3://${this.#bucket.Bucket}/${key}`;
  }

  /** Makes the object unless there is one. A lost reply shows as `exists`: the caller looks whose it is. */
  async create(key: string, bytes: Uint8Array, digest: Digest): Promise<'created' | 'exists'> {
    // 409: another conditional write of the same key was under way, and nobody knows yet who wins.
    return await patiently(async (again) => {
      try {
        await this.#put(key, bytes, digest, { IfNoneMatch: '*' });
        return 'created';
      } catch (error) {
        if (isPreconditionFailed(error)) return 'exists';
        if (isConflict(error)) return again(typedFailure(error, 'write', this.where(key)));
        throw typedFailure(error, 'write', this.where(key));
      }
    });
  }

  async replace(key: string, bytes: Uint8Array, digest: Digest): Promise<void> {
    await this.#typed('write', key, () => this.#put(key, bytes, digest, {}));
  }

  /** The object from `offset` on, or a part of it. @throws ENOENT */
  async get(
    key: string,
    range?: { offset: number; lengthBytes?: number },
  ): Promise<{ body: Readable; sizeBytes: number }> {
    const end = range?.lengthBytes === undefined ? '' : range.offset + range.lengthBytes - 1;
    const answer = await this.#typed('read', key, () =>
      this.#client.send(
        new this.#sdk.GetObjectCommand({
          ...this.#bucket,
          Key: key,
          ...(range && { Range: `bytes=${range.offset}-${end}` }),
        }),
      ),
    );
    return { body: answer.Body as Readable, sizeBytes: answer.ContentLength ?? 0 };
  }

  /** @throws ENOENT */
  async facts(key: string): Promise<ObjectFacts> {
    const answer = await this.#typed('read', key, () =>
      this.#client.send(new this.#sdk.HeadObjectCommand({ ...this.#bucket, Key: key })),
    );
    return { sizeBytes: answer.ContentLength ?? 0, modifiedAtMs: answer.LastModified?.getTime() ?? 0 };
  }

  /** Sets the modification time to now, without moving the bytes. At most 5 GiB. @throws ENOENT */
  async touch(key: string): Promise<void> {
    const source = `${this.#bucket.Bucket}/${key}`;
    await this.#typed('renew', key, () =>
      this.#client.send(
        new this.#sdk.CopyObjectCommand({
          ...this.#bucket,
          ...this.#encryption,
          ...(this.#bucket.ExpectedBucketOwner && { ExpectedSourceBucketOwner: this.#bucket.ExpectedBucketOwner }),
          Key: key,
          CopySource: source,
          // S3 refuses a copy onto itself that changes nothing.
          MetadataDirective: 'REPLACE',
        }),
      ),
    );
  }

  /** Fine when there is none. */
  async delete(key: string): Promise<void> {
    await this.#typed('delete', key, () =>
      this.#client.send(new this.#sdk.DeleteObjectCommand({ ...this.#bucket, Key: key })),
    );
  }

  /** The same, sent once whatever happens to the reply. */
  async deleteOnce(key: string): Promise<void> {
    await this.#typed('delete', key, () =>
      this.#once.send(new this.#sdk.DeleteObjectCommand({ ...this.#bucket, Key: key })),
    );
  }

  /** Objects, and with `folders` the names between prefix and next slash; by key, page by page. */
  async *list(
    prefix: string,
    options: { folders?: boolean; most?: number; pages?: number } = {},
  ): AsyncIterable<{ objects: ListedObject[]; folders: string[]; isLast: boolean }> {
    let token: string | undefined;
    for (let page = 0; page < (options.pages ?? Number.POSITIVE_INFINITY); page += 1) {
      const answer = await this.#typed('list', prefix, () =>
        this.#client.send(
          new this.#sdk.ListObjectsV2Command({
            ...this.#bucket,
            Prefix: prefix,
            ...(options.folders && { Delimiter: '/' }),
            ...(options.most && { MaxKeys: options.most }),
            ...(token !== undefined && { ContinuationToken: token }),
          }),
        ),
      );
      token = answer.IsTruncated ? answer.NextContinuationToken : undefined;
      yield {
        objects: (answer.Contents ?? []).map(({ Key, Size, LastModified }) => ({
          key: Key ?? '',
          sizeBytes: Size ?? 0,
          modifiedAtMs: LastModified?.getTime() ?? 0,
        })),
        folders: (answer.CommonPrefixes ?? []).map(({ Prefix }) => (Prefix ?? '').slice(prefix.length, -1)),
        isLast: token === undefined,
      };
      if (token === undefined) return;
    }
  }

  async beginUpload(key: string): Promise<string> {
    const answer = await this.#typed('begin an upload of', key, () =>
      this.#client.send(
        new this.#sdk.CreateMultipartUploadCommand({
          ...this.#bucket,
          ...this.#encryption,
          Key: key,
          ChecksumAlgorithm: 'CRC32',
        }),
      ),
    );
    return answer.UploadId!;
  }

  async uploadPart(
    key: string,
    uploadId: string,
    number: number,
    bytes: Uint8Array,
    crc32: string | undefined,
  ): Promise<UploadedPart> {
    const answer = await this.#client.send(
      new this.#sdk.UploadPartCommand({
        ...this.#bucket,
        Key: key,
        UploadId: uploadId,
        PartNumber: number,
        Body: bytes,
        ...(crc32 === undefined ? { ChecksumAlgorithm: 'CRC32' } : { ChecksumCRC32: crc32 }),
      }),
    );
    return { number, etag: answer.ETag!, crc32: crc32 ?? answer.ChecksumCRC32 };
  }

  /** Throws the SDK's own error: 409, 412 and 404 mean different things to the upload. */
  async completeUpload(
    key: string,
    uploadId: string,
    parts: readonly UploadedPart[],
    options: { exclusive: boolean },
  ): Promise<void> {
    const Parts = parts.map(
      ({ number, etag, crc32 }): CompletedPart => ({
        PartNumber: number,
        ETag: etag,
        ...(crc32 === undefined ? {} : { ChecksumCRC32: crc32 }),
      }),
    );
    await this.#client.send(
      new this.#sdk.CompleteMultipartUploadCommand({
        ...this.#bucket,
        Key: key,
        UploadId: uploadId,
        MultipartUpload: { Parts },
        ...(options.exclusive && { IfNoneMatch: '*' }),
      }),
    );
  }

  /** Fine when it is gone. */
  async abortUpload(key: string, uploadId: string): Promise<void> {
    try {
      await this.#typed('abort an upload of', key, () =>
        this.#client.send(new this.#sdk.AbortMultipartUploadCommand({ ...this.#bucket, Key: key, UploadId: uploadId })),
      );
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }

  /** Multipart uploads that nobody has completed or aborted. */
  async *uploads(prefix: string): AsyncIterable<{ key: string; uploadId: string; begunAtMs: number }> {
    let marker: { KeyMarker?: string; UploadIdMarker?: string } = {};
    for (;;) {
      const answer = await this.#typed('list uploads below', prefix, () =>
        this.#client.send(new this.#sdk.ListMultipartUploadsCommand({ ...this.#bucket, Prefix: prefix, ...marker })),
      );
      for (const { Key, UploadId, Initiated } of answer.Uploads ?? [])
        yield { key: Key!, uploadId: UploadId!, begunAtMs: Initiated?.getTime() ?? 0 };
      if (!answer.IsTruncated) return;
      marker = { KeyMarker: answer.NextKeyMarker ?? '', UploadIdMarker: answer.NextUploadIdMarker ?? '' };
    }
  }

  async #put(key: string, bytes: Uint8Array, digest: Digest, condition: { IfNoneMatch?: '*' }): Promise<void> {
    await this.#client.send(
      new this.#sdk.PutObjectCommand({
        ...this.#bucket,
        ...this.#encryption,
        Key: key,
        Body: bytes,
        // The server refuses bytes that changed on the way; `signedByDigest` signs the same hash.
        ChecksumSHA256: Buffer.from(digest.slice('sha256:'.length), 'hex').toString('base64'),
        ...condition,
      }),
    );
  }

  async #typed<T>(operation: string, key: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (isMissing(error)) throw missingFile(this.where(key));
      throw typedFailure(error, operation, this.where(key));
    }
  }
}
