import { ensureTemporalCli } from '../src/stack/temporal-cli.ts';

/** Before the tests: the Temporal CLI is there, or comes, or the message says how to get it. Quiet when it is there. */
const { path, source } = await ensureTemporalCli({ log: (line) => console.log(line) });
if (source !== 'cache' && source !== 'PATH') console.log(`Temporal CLI: ${path} (${source})`);
