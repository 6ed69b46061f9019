import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type ArtifactFile, isSafeRelativePath } from '../contracts/digest.ts';
import type { BlobStore } from '../store/types.ts';
import { CorruptChannel, InvalidJob } from './errors.ts';

/** Puts a channel's files into a folder that is the job's own, so that a program cannot write through to the store. */
export interface ChannelSource {
  /** `folder` exists and is empty. Throws `CorruptChannel` when bytes do not match their digest. */
  materialise(files: readonly ArtifactFile[], folder: string): Promise<void>;
}

export const channelsFromBlobs = (blobs: Pick<BlobStore, 'get'>): ChannelSource => ({
  async materialise(files, folder) {
    for (const file of files) {
      if (!isSafeRelativePath(file.path)) throw new InvalidJob(`channel file ${JSON.stringify(file.path)}: not a path`);
      const path = join(folder, file.path);
      await mkdir(dirname(path), { recursive: true });
      await pipeline(await blobs.get(file.digest), verified(file), createWriteStream(path, { flags: 'wx' }));
    }
  },
});

/** Every hop checks the digest: the bytes are hashed once more on their way into the job's folder. */
function verified(file: ArtifactFile): Transform {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      done(null, chunk);
    },
    flush(done) {
      const digest = `sha256:${hash.digest('hex')}`;
      if (digest === file.digest && sizeBytes === file.sizeBytes) return done();
      done(
        new CorruptChannel(
          `${file.path}: expected ${file.digest} with ${file.sizeBytes} bytes, got ${digest} with ${sizeBytes} bytes`,
        ),
      );
    },
  });
}
