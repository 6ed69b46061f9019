import { pino } from 'pino';
import { startEndpoint } from '../../../src/serving/endpoint/main.ts';
import type { EndpointOptions } from '../../../src/serving/endpoint/options.ts';

/** A replica as a process of its own, so that a test can kill it. Options come as JSON, its address goes to the parent. */
const options = JSON.parse(process.argv[2]!) as Omit<EndpointOptions, 'log'>;
const { url } = await startEndpoint({ ...options, log: pino({ level: 'silent' }) });
process.send!(url);
