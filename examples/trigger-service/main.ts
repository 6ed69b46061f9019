import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { connect } from '../../src/client/connect.ts';
import { createTriggerService } from './service.ts';

/** `main.ts --port 8090 --host 127.0.0.1`. SIGTERM: nothing new is accepted, what is under way is answered, exit code 0. */
const { values } = parseArgs({
  options: { port: { type: 'string', default: '8090' }, host: { type: 'string', default: '127.0.0.1' } },
});
const answerWithinMs = 15_000;

const service = createTriggerService(() => connect({ by: 'trigger-service', connectWithinMs: 3_000 }));
service.listen(Number(values.port), values.host);
await once(service, 'listening');
const { address, port } = service.address() as AddressInfo;
console.log(JSON.stringify({ event: 'listening', url: `http://${address}:${port}` }));

const stop = (signal: NodeJS.Signals): void => {
  console.log(JSON.stringify({ event: 'stopping', signal }));
  service.close();
  setTimeout(() => service.closeAllConnections(), answerWithinMs).unref();
};
process.once('SIGTERM', stop).once('SIGINT', stop);
