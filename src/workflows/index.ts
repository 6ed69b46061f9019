/** What the control worker runs. */
export { retrainCycle } from './cycle.ts';
export { endpoint } from './endpoint.ts';
export { job } from './job.ts';
export { kick } from './kick.ts';
export { retrainingLoop } from './loop.ts';
export { registryMirror } from './registry.ts';
export { workload } from './workload.ts';
export { workloadWave } from './workload-wave.ts';
