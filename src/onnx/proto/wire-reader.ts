import { OnnxError } from '../error.ts';
import type { Int64 } from './schema.ts';

export const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/**
 * Walks through one protobuf message without copying or allocating for its elements
 * (https://protobuf.dev/programming-guides/encoding/). Every length is checked before it is used; what does not fit is an
 * `OnnxError`.
 */
export class WireReader {
  position = 0;
  /** The two halves of the varint that was read last. */
  low = 0;
  high = 0;
  private readonly bytes: Uint8Array;
  private readonly where: string;

  constructor(bytes: Uint8Array, where: string) {
    this.bytes = bytes;
    this.where = where;
  }

  get atEnd(): boolean {
    return this.position >= this.bytes.length;
  }

  /** Field number and wire type of the next field. */
  tag(): { field: number; wireType: number } {
    const at = this.position;
    this.varint();
    const field = this.low >>> 3;
    if (this.high !== 0 || field === 0) throw this.broken(`no field begins at byte ${at}`);
    return { field, wireType: this.low & 7 };
  }

  /** Reads a varint into `low` and `high`. */
  varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.bytes.length) throw this.broken('a number is cut off');
      const byte = this.bytes[this.position++]!;
      if (shift < 28) low |= (byte & 127) << shift;
      else if (shift === 28) {
        low |= (byte & 15) << 28;
        high = (byte & 127) >> 4;
      } else high |= (byte & 127) << (shift - 32);
      if (byte < 128) {
        this.low = low;
        this.high = high;
        return;
      }
    }
    throw this.broken('a number is longer than 10 bytes');
  }

  /** A signed 64-bit number. */
  int(): Int64 {
    this.varint();
    return { low: this.low, high: this.high, unsigned: false };
  }

  /** The content of a length-delimited field: a view. */
  delimited(): Uint8Array {
    this.varint();
    const length = this.high * 2 ** 32 + (this.low >>> 0);
    return this.take(length);
  }

  /** The value of a field as its bytes, without tag and length: a view. */
  value(wireType: number): Uint8Array {
    const start = this.position;
    switch (wireType) {
      case wireTypes.varint:
        this.varint();
        return this.bytes.subarray(start, this.position);
      case wireTypes.fixed64:
        return this.take(8);
      case wireTypes.fixed32:
        return this.take(4);
      case wireTypes.bytes:
        return this.delimited();
      default:
        // 3 and 4 are groups, which no version of onnx.proto has.
        throw this.broken(`unknown wire type ${wireType} before byte ${start}`);
    }
  }

  /** Everything from `start` to here, as it stands. */
  since(start: number): Uint8Array {
    return this.bytes.subarray(start, this.position);
  }

  broken(detail: string): OnnxError {
    return new OnnxError(`${this.where}: not ONNX, or cut off: ${detail}`);
  }

  private take(length: number): Uint8Array {
    const start = this.position;
    if (!(length <= this.bytes.length - start)) {
      throw this.broken(`a field of ${length} bytes begins at byte ${start} of ${this.bytes.length}`);
    }
    this.position = start + length;
    return this.bytes.subarray(start, this.position);
  }
}
