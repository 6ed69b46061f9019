import type { Digest } from '../../contracts/digest.ts';

export interface LogFileFacts {
  sizeBytes: number;
  modifiedAtMs: number;
}

/**
 * The few calls that logs are read and cleared with, whatever holds their files. Errors carry Node's codes: what is not
 * there says ENOENT.
 */
export interface LogFiles {
  /** One level. A folder is there as long as something is in it; one that is not may be empty or say ENOENT. */
  list(folder: string): Promise<{ name: string; isFolder: boolean }[]>;
  readWhole(path: string): Promise<Uint8Array>;
  /** Fewer bytes when the file ends before. */
  readRange(path: string, offset: number, lengthBytes: number): Promise<Uint8Array>;
  facts(path: string): Promise<LogFileFacts>;
  remove(path: string): Promise<void>;
  /** Fails with ENOTEMPTY when it holds anything; does nothing where folders are only names. */
  removeFolder(path: string): Promise<void>;
}

/** A file that is whole and has no final name yet. */
export interface StagedFile {
  path: string;
  digest: Digest;
  sizeBytes: number;
}

/** How a file of a log comes to be: whole, durable, and under its final name only if nobody has it. */
export interface LogStaging {
  stage(body: AsyncIterable<unknown> | Uint8Array): Promise<StagedFile>;
  publish(staged: StagedFile, final: string): Promise<'created' | 'exists'>;
  /** Puts it in place of what stands there. */
  replace(staged: StagedFile, final: string): Promise<void>;
  /** Forgets a staged file, or removes a published one; never fails. */
  discard(path: string): Promise<void>;
}

/** Files numbered 1, 2, 3 … below a folder; a number is either there and whole, or free. */
export interface Numbered {
  path(number: number): string;
  /** 0 when there is none. */
  newest(): Promise<number>;
  /** Numbers above `after` that exist, ascending. */
  after(after: number): AsyncIterable<number>;
  /** Folders, ascending, with their numbers, ascending. */
  shards(): Promise<{ folder: string; numbers: number[] }[]>;
}

/** What the logs of refs and captures are built on: a file system, or a bucket. */
export interface LogMedium {
  files: LogFiles;
  staging: LogStaging;
  /** `grows`: nothing in it is ever deleted, so what was once the newest is a place to look on from. */
  numbered(folder: string, kind: 'grows' | 'shrinks'): Numbered;
}

export const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;

/** A folder that nobody has made yet is empty. */
export async function listOrNothing(
  files: Pick<LogFiles, 'list'>,
  folder: string,
): Promise<{ name: string; isFolder: boolean }[]> {
  try {
    return await files.list(folder);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}
