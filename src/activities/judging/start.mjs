import { register } from 'tsx/esm/api';

// Node 20 does not apply an inherited `--import` loader to the first module of a thread, so this one is plain.
register();
await import('./judge-thread.ts');
