import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The S3 server of the tests and benchmarks: POSIX folders behind the S3 API, with conditional writes. */
export const versitygwVersion = 'v1.8.0';
const tools = fileURLToPath(new URL('../.goto3/tools/', import.meta.url));

/**
 * Path of the pinned versitygw; built from its Go module on first use (about 2 minutes on two cores).
 * @throws Error when Go is missing or the build fails
 */
export function ensureVersitygw(): string {
  const wanted = join(tools, `versitygw-${versitygwVersion}`);
  if (existsSync(wanted)) return wanted;
  console.log(`Building versitygw ${versitygwVersion} from its Go module (about 2 minutes, once)`);
  // A folder of this process: two builds at once do the work twice and the rename is whole either way.
  const building = join(tools, `building-${process.pid}`);
  mkdirSync(building, { recursive: true });
  try {
    const { status, error } = spawnSync(
      'go',
      ['install', '-trimpath', `github.com/versity/versitygw/cmd/versitygw@${versitygwVersion}`],
      { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, GOBIN: building } },
    );
    if (error) throw new Error(`go: ${error.message}; versitygw is built with Go 1.25 or newer (https://go.dev/dl)`);
    if (status !== 0) throw new Error(`go install of versitygw ended with code ${status}`);
    renameSync(join(building, 'versitygw'), wanted);
  } finally {
    rmSync(building, { recursive: true, force: true });
  }
  return wanted;
}
