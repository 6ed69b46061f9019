import { z } from 'zod';
import { LoopSpecSchema } from '../../contracts/loop-spec.ts';

/**
 * What people write, as JSON Schema (draft 2020-12): the input side, since units and defaults are resolved later. It
 * checks the shape; `goto3 validate` also checks units and what fields say about each other.
 */
export function loopJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(LoopSpecSchema, { io: 'input' }) as Record<string, unknown>;
  return { ...schema, title: 'goto3 loop', description: 'A retraining loop, as `goto3 apply` takes it.' };
}
