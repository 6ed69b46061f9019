import { formatDuration } from '../contracts/units.ts';
import type { Environment } from './environment.ts';
import { cpuProbe, diskProbe, gpuProbe, memoryProbe } from './probes/machine.ts';
import {
  chromiumProbe,
  goProbe,
  nodeProbe,
  onnxProbe,
  packagesProbe,
  pythonProbe,
  slurmProbe,
} from './probes/software.ts';
import { portsProbe, serverProbe, storeProbe, temporalCliProbe } from './probes/stack.ts';

/** What one look at the machine found. */
export interface Finding {
  readonly name: string;
  /** `missing`: goto3 cannot work so; `warn`: it can, with less. */
  readonly status: 'ok' | 'warn' | 'missing';
  /** For people: version, path, amount. */
  readonly found: string;
  /** A command that improves it; absent when nothing has to be done, or no command can. */
  readonly fix?: string;
}

export type Probe = (environment: Environment) => Promise<Omit<Finding, 'name'>>;

const probeTimeoutMs = 30_000;

/** In the order in which a person should read them. */
const probes: readonly (readonly [name: string, probe: Probe])[] = [
  ['Node', nodeProbe],
  ['npm packages', packagesProbe],
  ['Temporal CLI', temporalCliProbe],
  ['Temporal server', serverProbe],
  ['ports', portsProbe],
  ['store', storeProbe],
  ['disk', diskProbe],
  ['onnxruntime-node', onnxProbe],
  ['CPU', cpuProbe],
  ['memory', memoryProbe],
  ['GPU', gpuProbe],
  ['Go', goProbe],
  ['Python', pythonProbe],
  ['Slurm', slurmProbe],
  ['Chromium', chromiumProbe],
];

/** Looks at everything that goto3 needs or can use; starts and changes nothing. A probe that fails is a finding too. */
export async function examine(environment: Environment): Promise<Finding[]> {
  return Promise.all(
    probes.map(async ([name, probe]): Promise<Finding> => {
      try {
        return { name, ...(await within(probeTimeoutMs, probe(environment))) };
      } catch (error) {
        return {
          name,
          status: 'warn',
          found: `could not be found out: ${error instanceof Error ? error.message : error}`,
        };
      }
    }),
  );
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${formatDuration(ms)}`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
