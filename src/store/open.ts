import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidInput } from './errors.ts';
import { type Durability, openFsStore } from './fs/store.ts';
import type { KeptStore } from './upkeep.ts';

/**
 * Opens a store by its address: `file:///abs/path`, or the absolute path itself. Throws `InvalidInput` for any other.
 * `durability: 'fast'` leaves out fsync, for tests.
 */
export async function openStore(url: string, options: { durability?: Durability } = {}): Promise<KeptStore> {
  return openFsStore(folderOf(url), options);
}

function folderOf(url: string): string {
  if (isAbsolute(url)) return resolve(url);
  const address = URL.canParse(url) ? new URL(url) : undefined;
  if (address?.protocol !== 'file:') {
    const scheme = address ? `the scheme "${address.protocol}//"` : JSON.stringify(url);
    throw new InvalidInput(`store: expected "file:///absolute/path" or an absolute path, got ${scheme}`);
  }
  // What a URL parser and a path parser read differently is refused, not guessed.
  if (address.search || address.hash || address.host || !url.startsWith('file:///') || /%2f|%00|\\/i.test(url))
    throw new InvalidInput(
      `store: expected "file:///absolute/path" without host, "?" or "#", got ${JSON.stringify(url)}`,
    );
  return resolve(fileURLToPath(address));
}
