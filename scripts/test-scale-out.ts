import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { whyNoNetwork } from '../test/scale-out/needs.ts';
import { ensureTemporalServer } from './temporal-server.ts';
import { ensureVersitygw } from './versitygw.ts';

/**
 * `npm run test:scale-out`: workers on several machines (network namespaces), a Temporal server with PostgreSQL, an S3 store.
 * The two servers are built from their Go modules on first use, unless the machine cannot run the test at all.
 */
if (whyNoNetwork() === undefined) {
  ensureTemporalServer();
  ensureVersitygw();
}
const root = fileURLToPath(new URL('../', import.meta.url));
const mocha = fileURLToPath(new URL('../node_modules/mocha/bin/mocha.js', import.meta.url));
const { status } = spawnSync(process.execPath, [mocha, 'test/scale-out/**/*.test.ts', ...process.argv.slice(2)], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
});
process.exit(status ?? 1);
