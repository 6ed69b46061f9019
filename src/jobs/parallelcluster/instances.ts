/** What is known of an instance type by its name alone. */
export interface InstanceFacts {
  architecture: 'x86_64' | 'arm64';
  /** Undefined: not known here, so nothing is refused for it. */
  efa?: boolean;
  spot?: boolean;
  cores?: number;
  memoryGiB?: number;
}

/** EC2's HPC instances: all on demand alone, all with EFA, a vCPU is a core (AWS, "Amazon EC2 HPC instances"). */
const hpc: Readonly<Record<string, { cores: number; memoryGiB: number }>> = {
  'hpc6a.48xlarge': { cores: 96, memoryGiB: 384 },
  'hpc6id.32xlarge': { cores: 64, memoryGiB: 1_024 },
  'hpc7a.12xlarge': { cores: 24, memoryGiB: 768 },
  'hpc7a.24xlarge': { cores: 48, memoryGiB: 768 },
  'hpc7a.48xlarge': { cores: 96, memoryGiB: 768 },
  'hpc7a.96xlarge': { cores: 192, memoryGiB: 768 },
  'hpc7g.4xlarge': { cores: 16, memoryGiB: 128 },
  'hpc7g.8xlarge': { cores: 32, memoryGiB: 128 },
  'hpc7g.16xlarge': { cores: 64, memoryGiB: 128 },
  'hpc8a.96xlarge': { cores: 192, memoryGiB: 768 },
};

/** Families that never had EFA on any size: burstable, first to fourth generations of general purpose. */
const withoutEfa = /^(?:t[1-9][a-z]*|m[1-4]|c[1-4]|r[3-4]|a1|mac[0-9a-z-]*)$/;
/** EFA comes with the largest sizes; no small size of any family has it (EC2 user guide, "Supported instance types"). */
const smallSizes = /^(?:nano|micro|small|medium|large|xlarge|2xlarge|4xlarge)$/;
/** Families with EFA on 4xlarge and below. */
const efaOnSmall = /^hpc/;

/** Architecture: `g` after the generation is Graviton (`hpc7g`, `c7gn`, `m8g`), and so is `a1`; never `g5`, whose letter leads. */
export function instanceFacts(type: string): InstanceFacts {
  const [family = '', size = ''] = type.split('.');
  const arm = family === 'a1' || /^[a-z]+\d+[a-z]*g[a-z]*$/.test(family);
  const architecture = arm ? 'arm64' : 'x86_64';
  const known = hpc[type];
  if (family.startsWith('hpc')) return { architecture, efa: true, spot: false, ...known };
  const noEfa = withoutEfa.test(family) || (smallSizes.test(size) && !efaOnSmall.test(family));
  return { architecture, ...(noEfa && { efa: false }) };
}

export const isKnownHpc = (type: string): boolean => !type.startsWith('hpc') || Object.hasOwn(hpc, type);
export const hpcTypes = Object.keys(hpc);
