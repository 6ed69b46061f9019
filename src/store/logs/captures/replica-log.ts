import { join } from 'node:path';
import type { CaptureRecord } from '../../../contracts/endpoint.ts';
import { hasCode, type LogFiles, type LogMedium, listOrNothing, type Numbered } from '../files.ts';
import { idHash, PackIndex } from './pack-index.ts';
import { type PackRange, packName, packOfIndex } from './pack-name.ts';
import { decodeSegment } from './segment.ts';

/** A segment that is there; reading it fails with ENOENT when it was packed or dropped in the meantime. */
export interface FoundSegment {
  number: number;
  records(): Promise<CaptureRecord[]>;
}

/** Not a number, so the files beside it are not disturbed. */
const packsFolder = '@packs';

/**
 * What one replica wrote, in `captures/<endpoint>/<replica>/`: one file per append, numbered; and packs, each of which
 * holds many earlier segments unchanged, with an index beside it. A segment is first in a file, then in a file and a
 * pack, then in the pack alone. So a reader looks for files first and for packs after them, and takes the packs' word.
 */
export class ReplicaLog {
  readonly files: Numbered;
  readonly folder: string;
  readonly packs: string;
  readonly where: string;
  readonly #files: LogFiles;

  /** @param capturesFolder absolute */
  constructor(medium: LogMedium, capturesFolder: string, endpoint: string, replica: string) {
    this.#files = medium.files;
    this.folder = join(capturesFolder, endpoint, replica);
    this.packs = join(this.folder, packsFolder);
    this.files = medium.numbered(this.folder, 'shrinks');
    this.where = `captures ${endpoint}/${replica}`;
  }

  /** Number of the newest segment; 0 when there was none. */
  async newest(): Promise<number> {
    return Math.max(await this.files.newest(), coveredBy(await this.packRanges()));
  }

  /** Packs that are complete, ascending; while two are joined into one, both and the one. */
  async packRanges(): Promise<PackRange[]> {
    return (await listOrNothing(this.#files, this.packs))
      .flatMap(({ name }) => packOfIndex(name) ?? [])
      .sort((a, b) => a.first - b.first || b.last - a.last);
  }

  indexPath = (pack: PackRange): string => join(this.packs, `${packName(pack)}.index`);
  bodyPath = (pack: PackRange): string => join(this.packs, `${packName(pack)}.segments`);

  async index(pack: PackRange): Promise<PackIndex> {
    const bytes = await this.#files.readWhole(this.indexPath(pack));
    return new PackIndex(bytes, `${this.where} pack ${packName(pack)}`);
  }

  /** Segments above a number, ascending. Fails with ENOENT when a pack was joined with others meanwhile: begin anew. */
  async *after(position: number): AsyncIterable<FoundSegment> {
    const { packs, files } = await this.#sourcesAfter(position);
    let reached = position;
    for (const pack of packs)
      for (const segment of (await this.index(pack)).segments) {
        if (segment.number <= reached) continue;
        reached = segment.number;
        yield this.#inPack(pack, segment);
      }
    for (const number of files) yield this.#inFile(number);
  }

  /** Records of these ids that are not older than a time. A record may come twice when a pack is made meanwhile. */
  async *find(ids: ReadonlySet<string>, sinceMs: number): AsyncIterable<CaptureRecord> {
    const hashes = [...ids].map(idHash);
    const wanted = (records: CaptureRecord[]): CaptureRecord[] =>
      records.filter(({ inferenceId, timeMs }) => ids.has(inferenceId) && timeMs >= sinceMs);
    const moved = new Moved();
    for (let reached = 0; ; ) {
      const { packs, files } = await this.#sourcesAfter(reached);
      try {
        for (const pack of packs.filter(({ toMs }) => toMs >= sinceMs)) {
          for (const segment of (await this.index(pack)).segmentsOf(hashes))
            yield* wanted(await this.#inPack(pack, segment).records());
          reached = pack.last;
        }
        for (const number of files) {
          yield* wanted(await this.#inFile(number).records());
          reached = number;
        }
        return;
      } catch (error) {
        moved.whileAt(reached, error);
      }
    }
  }

  /** Files are listed whole and before the packs: what has left a file by then is in a pack. */
  async #sourcesAfter(position: number): Promise<{ packs: PackRange[]; files: number[] }> {
    const files: number[] = [];
    for await (const number of this.files.after(position)) files.push(number);
    const packs = await this.packRanges();
    const covered = coveredBy(packs);
    return { packs: packs.filter(({ last }) => last > position), files: files.filter((number) => number > covered) };
  }

  #inPack(pack: PackRange, { number, offset, lengthBytes }: { number: number; offset: number; lengthBytes: number }) {
    const read = () => this.#files.readRange(this.bodyPath(pack), offset, lengthBytes);
    return { number, records: async () => decodeSegment(await read(), `${this.where} segment ${number}`) };
  }

  #inFile(number: number): FoundSegment {
    const read = () => this.#files.readWhole(this.files.path(number));
    return { number, records: async () => decodeSegment(await read(), `${this.where} segment ${number}`) };
  }
}

/** Number of the newest segment that is in a pack; 0 without packs. */
export const coveredBy = (packs: readonly PackRange[]): number =>
  packs.reduce((most, { last }) => Math.max(most, last), 0);

/** A segment that is not where it was seen has moved to a pack; one that stays away is lost. */
export class Moved {
  private at = -1;
  private times = 0;

  /** @throws the error, when it is another one, or when it comes again and again at one place. */
  whileAt(position: number, error: unknown): void {
    this.times = position === this.at ? this.times + 1 : 1;
    this.at = position;
    if (!hasCode(error, 'ENOENT') || this.times > 5) throw error;
  }
}
