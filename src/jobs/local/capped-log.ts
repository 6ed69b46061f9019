import { closeSync, openSync, writeSync } from 'node:fs';
import { formatSize } from '../../contracts/units.ts';

const tailBytes = 64 * 1024;

/**
 * A log file that a flood cannot grow beyond its cap. The beginning is kept as it comes; after the cap the output is
 * dropped, and `end` appends its last lines, because the end is where the error is. Writes are synchronous: the pipe fills
 * up and the program waits, so memory stays flat at any speed.
 */
export class CappedLog {
  readonly #file: number;
  readonly #capBytes: number;
  #writtenBytes = 0;
  #droppedBytes = 0;
  #tail = Buffer.alloc(0);
  #endsWithNewline = true;

  constructor(path: string, capBytes: number) {
    this.#file = openSync(path, 'a', 0o600);
    this.#capBytes = capBytes;
  }

  write(chunk: Buffer): void {
    this.#tail = lastBytes(this.#tail, chunk);
    const room = this.#droppedBytes > 0 ? 0 : Math.max(0, this.#capBytes - this.#writtenBytes);
    const kept = chunk.length <= room ? chunk : chunk.subarray(0, startOfCharacter(chunk, room));
    this.#append(kept);
    const dropped = chunk.length - kept.length;
    if (dropped > 0 && this.#droppedBytes === 0)
      this.#notice(
        `output is capped at ${formatSize(this.#capBytes)}; what follows is dropped, its last lines come at the end`,
      );
    this.#droppedBytes += dropped;
  }

  /** The last 64 KiB or less, whole characters. */
  tail(): string {
    return this.#tail.subarray(firstCharacter(this.#tail)).toString('utf8');
  }

  end(): void {
    if (this.#droppedBytes > 0) {
      const last = this.#tail.subarray(-Math.min(this.#tail.length, this.#droppedBytes));
      const lineFeed = this.#droppedBytes > last.length ? last.indexOf(0x0a) : -1;
      this.#notice(`${formatSize(this.#droppedBytes)} were dropped; the last lines:`);
      this.#append(last.subarray(lineFeed === -1 ? firstCharacter(last) : lineFeed + 1));
    }
    closeSync(this.#file);
  }

  #notice(text: string): void {
    this.#append(Buffer.from(`${this.#endsWithNewline ? '' : '\n'}[goto3] ${text}\n`));
  }

  #append(bytes: Buffer): void {
    if (bytes.length === 0) return;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
      this.#writtenBytes += bytes.length;
      this.#endsWithNewline = bytes[bytes.length - 1] === 0x0a;
    } catch (error) {
      // A full disk costs log lines, never the job.
      console.error(`log: ${(error as Error).message}`);
      this.#droppedBytes += bytes.length;
    }
  }
}

function lastBytes(before: Buffer, chunk: Buffer): Buffer<ArrayBuffer> {
  if (chunk.length >= tailBytes) return Buffer.from(chunk.subarray(chunk.length - tailBytes));
  const keep = Math.min(before.length, tailBytes - chunk.length);
  return Buffer.concat([before.subarray(before.length - keep), chunk]);
}

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** The largest cut ≤ `at` that is not inside a UTF-8 sequence. */
export function startOfCharacter(bytes: Buffer, at: number): number {
  let cut = at;
  while (cut > 0 && at - cut < 4 && isContinuation(bytes[cut])) cut--;
  return cut;
}

/** Index of the first whole character. */
function firstCharacter(bytes: Buffer): number {
  let at = 0;
  while (at < 4 && isContinuation(bytes[at])) at++;
  return at;
}
