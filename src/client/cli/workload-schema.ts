import { z } from 'zod';
import { WorkloadSpecSchema } from '../../contracts/workload-spec.ts';

/** What people write, as JSON Schema (draft 2020-12): shape alone; `goto3 workload validate` checks the rest. */
export function workloadJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(WorkloadSpecSchema, { io: 'input' }) as Record<string, unknown>;
  return {
    ...schema,
    title: 'goto3 workload',
    description: 'HPC jobs and what they need, as `goto3 workload submit` takes them.',
  };
}
