/** The stream is no text of lines that could be kept in memory. */
export class UnreadableLine extends Error {
  override readonly name = 'UnreadableLine';
}

const lineFeed = 0x0a;

/**
 * Lines of JSON Lines, without their line feed; empty ones are left out. Not node:readline: it keeps a line that never
 * ends in memory, and which other characters end a line depends on Node's version (U+2028 is common in mail).
 *
 * @throws UnreadableLine that names the line, when it is longer than `longestBytes` or not UTF-8
 */
export async function* readLines(
  stream: AsyncIterable<Uint8Array>,
  longestBytes = Number.POSITIVE_INFINITY,
): AsyncGenerator<{ text: string; number: number }> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let parts: Uint8Array[] = [];
  let partBytes = 0;
  let number = 0;
  const take = (part: Uint8Array): void => {
    parts.push(part);
    partBytes += part.length;
    if (partBytes > longestBytes) throw new UnreadableLine(`line ${number + 1} is longer than ${longestBytes} bytes`);
  };
  const complete = (): string => {
    number += 1;
    const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    parts = [];
    partBytes = 0;
    try {
      return decoder.decode(bytes).trim();
    } catch {
      throw new UnreadableLine(`line ${number} is not UTF-8`);
    }
  };
  for await (const chunk of stream) {
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, from)) {
      take(chunk.subarray(from, end));
      from = end + 1;
      const text = complete();
      if (text !== '') yield { text, number };
    }
    if (from < chunk.length) take(chunk.subarray(from));
  }
  if (partBytes === 0) return;
  const text = complete();
  if (text !== '') yield { text, number };
}
