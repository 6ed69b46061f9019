import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isSafeRelativePath } from '../../contracts/digest.ts';

/** A tar block (POSIX.1-1988 ustar). */
const blockBytes = 512;

/** The archive does not hold what a program may leave; the message names the entry. */
export class BadArchive extends Error {
  override readonly name = 'BadArchive';
}

/**
 * Unpacks a gzipped tar of plain files and folders. The archive comes from a program's machine: a link, a device, or a path
 * that leads out of the folder is refused, so nothing is ever followed or written elsewhere. Long names come as GNU `L` or
 * pax `path` entries.
 */
export async function unpackTarGz(archive: Readable, folder: string): Promise<void> {
  const reader = new BlockReader(archive.pipe(createGunzip()), archive);
  await mkdir(folder, { recursive: true });
  let longName: string | undefined;
  for (let header = await reader.take(blockBytes); header && !isZero(header); header = await reader.take(blockBytes)) {
    const size = octal(header.subarray(124, 136));
    const type = String.fromCharCode(header[156]!);
    if (type === 'L' || type === 'x' || type === 'g') {
      const content = await whole(reader, size);
      if (type === 'L') longName = text(content);
      else if (type === 'x') longName = paxPath(content) ?? longName;
      continue;
    }
    const path = (longName ?? nameOf(header)).replace(/^(\.\/)+/, '').replace(/\/+$/, '');
    longName = undefined;
    if (type === '5') {
      if (path !== '' && path !== '.') await mkdir(join(folder, safe(path)), { recursive: true });
    } else if (type === '0' || type === '\0') await writeFile(reader, size, join(folder, safe(path)));
    else throw new BadArchive(`archive entry ${JSON.stringify(path)}: expected a file or folder, got type ${type}`);
  }
  reader.end();
}

function safe(path: string): string {
  if (!isSafeRelativePath(path)) throw new BadArchive(`archive entry ${JSON.stringify(path)}: not a relative path`);
  return path;
}

async function writeFile(reader: BlockReader, size: number, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = createWriteStream(path);
  for (let left = size; left > 0; ) {
    const piece = await reader.some(left);
    if (!file.write(piece)) await once(file, 'drain');
    left -= piece.length;
  }
  file.end();
  await once(file, 'finish');
  await reader.skip(padding(size));
}

async function whole(reader: BlockReader, size: number): Promise<Buffer> {
  if (size > 64 * 1024) throw new BadArchive(`archive: a name of ${size} bytes`);
  const content = (await reader.take(size)) ?? Buffer.alloc(0);
  await reader.skip(padding(size));
  return content;
}

const padding = (size: number): number => (blockBytes - (size % blockBytes)) % blockBytes;
const isZero = (block: Buffer): boolean => block.every((byte) => byte === 0);
const text = (bytes: Buffer): string => bytes.toString('utf8').replace(/\0.*$/s, '');
const nameOf = (header: Buffer): string => {
  const name = text(header.subarray(0, 100));
  const prefix =
    header.toString('latin1', 257, 262) === 'ustar' && header[263] === 0x30 ? text(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
};

/** Octal digits, or, for 8 GiB and more, GNU's base-256. */
function octal(field: Buffer): number {
  if ((field[0]! & 0x80) !== 0) return field.subarray(4).reduce((sum, byte) => sum * 256 + byte, 0);
  const value = Number.parseInt(text(field).trim() || '0', 8);
  if (!Number.isSafeInteger(value)) throw new BadArchive('archive: damaged header');
  return value;
}

/** Records `<length> <key>=<value>\n`; the length counts itself, in bytes. */
function paxPath(content: Buffer): string | undefined {
  for (let at = 0; at < content.length; ) {
    const length = Number.parseInt(content.toString('latin1', at, at + 20), 10);
    if (!(length > 0)) throw new BadArchive('archive: damaged pax header');
    const record = content.toString('utf8', at, at + length - 1);
    const [, key, value] = /^\d+ ([^=]+)=(.*)$/s.exec(record) ?? [];
    if (key === 'path') return value;
    at += length;
  }
  return undefined;
}

/** Reads exact numbers of bytes from a stream. */
class BlockReader {
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #source: Readable;
  #held = Buffer.alloc(0);

  constructor(stream: Readable, source: Readable) {
    source.on('error', (error) => stream.destroy(error));
    this.#source = source;
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** Undefined at the end of the stream. */
  async take(size: number): Promise<Buffer | undefined> {
    while (this.#held.length < size) {
      const { value, done } = await this.#chunks.next();
      if (done) {
        if (this.#held.length > 0) throw new BadArchive('archive: it ends within an entry');
        return undefined;
      }
      this.#held = Buffer.concat([this.#held, value]);
    }
    const taken = this.#held.subarray(0, size);
    this.#held = this.#held.subarray(size);
    return taken;
  }

  /** What is there, at most so much. */
  async some(most: number): Promise<Buffer> {
    if (this.#held.length === 0) {
      const { value, done } = await this.#chunks.next();
      if (done) throw new BadArchive('archive: it ends within a file');
      this.#held = value as Buffer<ArrayBuffer>;
    }
    const piece = this.#held.subarray(0, most);
    this.#held = this.#held.subarray(piece.length);
    return piece;
  }

  async skip(size: number): Promise<void> {
    for (let left = size; left > 0; ) left -= (await this.some(left)).length;
  }

  end(): void {
    this.#source.destroy();
  }
}
