import { isUtf8 } from 'node:buffer';
import iconv from 'iconv-lite';

const label = /charset\s*=\s*["']?([A-Za-z0-9_.:-]+)/i;

/**
 * Mail of 2002 carries 8-bit bytes where no charset is declared: raw Subject lines, bodies without a Content-Type. A
 * MIME parser has to read those as UTF-8 and loses them. Here they become UTF-8 before parsing: the header with the
 * charset that the mail itself declares first, the whole mail when it declares none; windows-1252 is the guess that is
 * right for nearly all undeclared mail. Bodies with a declared charset are left to the MIME parser.
 */
export function repairEightBit(bytes: Uint8Array): Uint8Array {
  if (isUtf8(bytes)) return bytes;
  const mail = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const declared = label.exec(mail.toString('latin1'))?.[1];
  if (declared === undefined) return iconv.encode(iconv.decode(mail, 'windows-1252'), 'utf8');
  const end = headerEnd(mail);
  const header = mail.subarray(0, end);
  if (isUtf8(header)) return bytes;
  const charset = iconv.encodingExists(declared) && !/^utf-?8$/i.test(declared) ? declared : 'windows-1252';
  return Buffer.concat([iconv.encode(iconv.decode(header, charset), 'utf8'), mail.subarray(end)]);
}

function headerEnd(mail: Buffer): number {
  const ends = [mail.indexOf('\n\n'), mail.indexOf('\n\r\n')].filter((i) => i >= 0);
  return ends.length > 0 ? Math.min(...ends) : mail.length;
}
