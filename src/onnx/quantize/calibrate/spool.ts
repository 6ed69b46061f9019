import { type FileHandle, open } from 'node:fs/promises';
import { deserialize, serialize } from 'node:v8';
import type { Tensor } from '../../model.ts';

/**
 * Batches on disk, for methods that look at the calibration rows twice: their source may be one that gives each row only
 * once, and memory holds one batch at a time. Frames of a 4-byte length and `v8.serialize`; read by the process that
 * wrote them.
 */
export class BatchSpool {
  private readonly file: FileHandle;
  private end = 0;

  private constructor(file: FileHandle) {
    this.file = file;
  }

  static async create(path: string): Promise<BatchSpool> {
    return new BatchSpool(await open(path, 'wx+', 0o600));
  }

  async write(batch: readonly Tensor[]): Promise<void> {
    const body = serialize(batch);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(body.length);
    const frame = Buffer.concat([length, body]);
    for (let written = 0; written < frame.length; ) {
      written += (await this.file.write(frame, written, frame.length - written, this.end + written)).bytesWritten;
    }
    this.end += frame.length;
  }

  async *read(): AsyncGenerator<readonly Tensor[]> {
    for (let at = 0; at < this.end; ) {
      const length = (await this.bytes(at, 4)).readUInt32LE();
      yield deserialize(await this.bytes(at + 4, length)) as readonly Tensor[];
      at += 4 + length;
    }
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private async bytes(at: number, length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(length);
    for (let read = 0; read < length; ) {
      const { bytesRead } = await this.file.read(buffer, read, length - read, at + read);
      if (bytesRead === 0) throw new Error('the spooled calibration batches are cut off');
      read += bytesRead;
    }
    return buffer;
  }
}
