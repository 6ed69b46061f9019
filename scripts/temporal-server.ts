import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The server that goto3 is tested with, as docker-compose.yml has it. */
export const temporalServerVersion = 'v1.29.1';
const tools = fileURLToPath(new URL('../.goto3/tools/', import.meta.url));

export interface TemporalServerPrograms {
  /** `temporal-server`: all four services, for a database of one's own. */
  server: string;
  /** `temporal-sql-tool`, with the schemas in it. */
  sqlTool: string;
}

/**
 * Paths of the pinned server and its schema tool; built from their Go module on first use (minutes on two cores).
 * @throws Error when Go is missing or the build fails
 */
export function ensureTemporalServer(): TemporalServerPrograms {
  const folder = join(tools, `temporal-server-${temporalServerVersion}`);
  // The names that `go install` gives them: those of their packages.
  const programs = { server: join(folder, 'server'), sqlTool: join(folder, 'sql') };
  if (existsSync(folder)) return programs;
  console.log(`Building the Temporal server ${temporalServerVersion} from its Go module (a few minutes, once)`);
  // A folder of this process: two builds at once do the work twice and the rename is whole either way.
  const building = join(tools, `building-${process.pid}`);
  mkdirSync(building, { recursive: true });
  try {
    const packages = ['cmd/server', 'cmd/tools/sql'].map(
      (path) => `go.temporal.io/server/${path}@${temporalServerVersion}`,
    );
    // The same compiler flags as the Temporal CLI's build has: what the two share is compiled once.
    const { status, error } = spawnSync('go', ['install', '-ldflags', '-s -w', ...packages], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, GOBIN: building },
    });
    if (error) throw new Error(`go: ${error.message}; the Temporal server is built with Go (https://go.dev/dl)`);
    if (status !== 0) throw new Error(`go install of the Temporal server ended with code ${status}`);
    renameSync(building, folder);
  } finally {
    rmSync(building, { recursive: true, force: true });
  }
  return programs;
}
