/**
 * `${…}` in a workload's argv and environment: places that are known only where a job starts. A text is cut into pieces
 * once, and no piece is ever read again, so that what is filled in can hold no further place. `$${` is a literal `${`.
 */
export type Piece = string | { place: string };

/** Undefined when a `${` has no end. Pure. */
export function piecesOf(text: string): Piece[] | undefined {
  const pieces: Piece[] = [];
  let plain = '';
  for (let at = 0; at < text.length; ) {
    if (text.startsWith('$${', at)) {
      plain += '${';
      at += 3;
    } else if (text.startsWith('${', at)) {
      const end = text.indexOf('}', at);
      if (end === -1) return undefined;
      if (plain !== '') pieces.push(plain);
      plain = '';
      pieces.push({ place: text.slice(at + 2, end) });
      at = end + 1;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  return plain === '' ? pieces : [...pieces, plain];
}

/** The text with every place replaced; literal `${` comes out as such. Throws what `fill` throws. */
export function filledIn(text: string, fill: (place: string) => string): string {
  return (piecesOf(text) ?? [text]).map((piece) => (typeof piece === 'string' ? piece : fill(piece.place))).join('');
}

/** The text with places renamed and literal `${` kept as they were written. */
export function withPlaces(text: string, rename: (place: string) => string): string {
  return (piecesOf(text) ?? [text])
    .map((piece) => (typeof piece === 'string' ? piece.replaceAll('${', () => '$${') : rename(piece.place)))
    .join('');
}
