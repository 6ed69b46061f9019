import type { ArtifactFile } from '../contracts/digest.ts';
import { materialise } from '../store/folders.ts';
import type { BlobStore } from '../store/types.ts';

/** Puts a channel's files into a folder that is the job's own, so that a program cannot write through to the store. */
export interface ChannelSource {
  /** `folder` exists. Throws `CorruptBlob` when bytes do not match their digest. */
  materialise(files: readonly ArtifactFile[], folder: string): Promise<void>;
}

export const channelsFromBlobs = (blobs: Pick<BlobStore, 'get'>): ChannelSource => ({
  materialise: (files, folder) => materialise({ blobs }, files, folder),
});
