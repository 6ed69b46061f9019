import { z } from 'zod';
import { EnvironmentsFile } from '../../contracts/environments.ts';

/** `goto3.yaml` as JSON Schema (draft 2020-12), so that editors complete and check it. */
export function environmentsJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(EnvironmentsFile, { io: 'input' }) as Record<string, unknown>;
  return {
    ...schema,
    title: 'goto3 environments',
    description: 'Where commands work: goto3.yaml, found as git finds .git.',
  };
}
