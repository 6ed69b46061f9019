import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startEndpoint } from '../serving/endpoint/main.ts';
import { readEnvironment } from '../stack/environment.ts';
import { readSigning } from '../stack/signing.ts';
import { hostName } from './activities.ts';
import { serveHealth } from './health.ts';
import { createLog } from './log.ts';

/**
 * One replica of an endpoint: `endpoint.ts --endpoint mail --port 8080 --health-port 9105`. It needs the store alone. In a
 * container `--host` and `--health-host` are 0.0.0.0, and `--advertise` is where the control worker reaches it.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      endpoint: { type: 'string' },
      port: { type: 'string', default: '8080' },
      host: { type: 'string', default: '127.0.0.1' },
      advertise: { type: 'string' },
      'health-port': { type: 'string', default: '0' },
      'health-host': { type: 'string', default: '127.0.0.1' },
    },
  });
  if (!values.endpoint) throw new Error('--endpoint: expected the name of an endpoint');
  const environment = readEnvironment();
  const log = createLog(`endpoint-${values.endpoint}`);
  const replica = hostName();
  const running = await startEndpoint({
    endpoint: values.endpoint,
    replica,
    storeUrl: environment.storeUrl,
    storeOptions: environment.storeOptions,
    signing: await readSigning(environment),
    host: values.host,
    port: Number(values.port),
    ...(values.advertise && { advertise: values.advertise }),
    cacheFolder: join(environment.home, 'cache', 'endpoints', values.endpoint),
    log,
  });
  // Alive is not ready: an endpoint that waits for its first model is healthy, and answers 503 to /ping.
  const health = await serveHealth(
    Number(values['health-port']),
    {
      healthy: () => ({ ok: true, detail: { endpoint: values.endpoint, url: running.url } }),
      metrics: async () => await fetch(`${running.url}/metrics`).then((response) => response.text()),
    },
    values['health-host'],
  );
  log.info({ endpoint: values.endpoint, url: running.url, healthPort: health.port }, 'endpoint started');
  const stop = (signal: NodeJS.Signals): void => {
    log.info({ signal }, 'endpoint stops');
    Promise.all([running.close(), health.close()]).then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'endpoint did not stop in good order');
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop).once('SIGINT', stop);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
