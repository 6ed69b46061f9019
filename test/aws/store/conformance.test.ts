import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../../src/store/open.ts';
import { describeStore } from '../../store/conformance.ts';
import { awsVariables, Versitygw, withVariables } from '../../support/versitygw/server.ts';

for (const cached of [false, true])
  describeStore(
    `S3 store ${cached ? 'with a cache' : 'without a cache'}`,
    async () => {
      const server = await Versitygw.start();
      const restore = withVariables(awsVariables(server.url));
      const folder = await mkdtemp(join(tmpdir(), 'goto3-s3-cache-'));
      const url = `s3://goto3-test/${randomUUID()}/store`;
      const cache = cached ? { cache: { folder, budgetBytes: 2 ** 20 } } : {};
      const again = () => openStore(url, { s3: { endpoint: server.url, ...cache } });
      return {
        store: await again(),
        again,
        close: async () => {
          restore();
          await server.stop();
          await rm(folder, { recursive: true });
        },
      };
    },
    { sequences: 15, entries: 30 },
  );
