import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { putFolder } from '../src/store/folders.ts';
import { openStore } from '../src/store/open.ts';

/**
 * One process of ours that puts a folder into a store, or reads it all back, and says what it took. A process of its own,
 * as the peers are: its start and its memory count. `--hash <file>` gives the raw rate of SHA-256 here, for comparison.
 */
const [what, ...rest] = process.argv.slice(2);
if (what === '--hash') {
  const handle = await open(rest[0]!);
  const started = performance.now();
  const hash = createHash('sha256');
  for await (const chunk of handle.createReadStream({ highWaterMark: 2 ** 20 })) hash.update(chunk as Uint8Array);
  hash.digest();
  console.log(JSON.stringify({ hashMs: performance.now() - started }));
} else {
  const [url, folder, endpoint] = [what!, rest[0]!, rest[1]!];
  const store = await openStore(url, { s3: { endpoint } });
  const started = performance.now();
  const files = await putFolder(store, folder);
  console.log(
    JSON.stringify({
      files: files.length,
      putMs: performance.now() - started,
      maxRssBytes: process.resourceUsage().maxRSS * 1_024,
    }),
  );
}
process.exit(0);
