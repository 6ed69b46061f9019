import type { Digest } from '../../contracts/digest.ts';
import type { Model } from '../../contracts/manifests.ts';
import { type S3Clients, s3Clients } from '../../store/s3/client.ts';
import { typedFailure } from '../../store/s3/failures.ts';

/** Where the store is, as SageMaker reads it. */
export interface StorePlace {
  bucket: string;
  prefix: string;
}

/** The store's layout (src/store/s3/blobs.ts): two digits of the hash, and all of them. */
const blobKey = ({ prefix }: StorePlace, digest: Digest): string => {
  const hex = digest.slice('sha256:'.length);
  return `${prefix}/blobs/${hex.slice(0, 2)}/${hex}`;
};
export const blobUri = (place: StorePlace, digest: Digest): string => `s3://${place.bucket}/${blobKey(place, digest)}`;

/**
 * A model's files under their own names, as SageMaker wants uncompressed model data. S3 copies them by itself, so a model of
 * any size (at most 5 GB a file: CopyObject) costs no memory here; again and again it is the same.
 */
export class ModelData {
  readonly #place: StorePlace;
  readonly #kmsKey: string | undefined;
  #clients: Promise<S3Clients> | undefined;

  constructor(place: StorePlace, kmsKey?: string) {
    this.#place = place;
    this.#kmsKey = kmsKey;
  }

  /** @returns the prefix, ends with "/" */
  async layOut(digest: Digest, files: Model['files']): Promise<string> {
    const { bucket, prefix } = this.#place;
    this.#clients ??= s3Clients({});
    const { sdk, client } = await this.#clients;
    const root = `${prefix}/models/${digest.slice('sha256:'.length)}/`;
    for (const file of files) {
      const from = `${bucket}/${blobKey(this.#place, file.digest as Digest)}`;
      try {
        await client.send(
          new sdk.CopyObjectCommand({
            ...{
              Bucket: bucket,
              Key: `${root}${file.path}`,
              CopySource: from.split('/').map(encodeURIComponent).join('/'),
            },
            ...(this.#kmsKey !== undefined && { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: this.#kmsKey }),
          }),
        );
      } catch (error) {
        throw typedFailure(error, 'CopyObject', `s3://${from}`);
      }
    }
    return `s3://${bucket}/${root}`;
  }
}
