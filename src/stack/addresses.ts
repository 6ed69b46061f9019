import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { writeFileAtomic } from './atomic-file.ts';
import type { StateLayout } from './layout.ts';
import { freePorts, isFree } from './ports.ts';
import { isAlive } from './process-identity.mjs';
import { readTable } from './process-table.ts';

/** Where the stack is to be found; every command reads it, so that nobody has to type an address. */
export const StackAddresses = z.strictObject({
  schema: z.literal('goto3/addresses/v1'),
  temporal: z.strictObject({
    /** host:port */
    address: z.string(),
    namespace: z.string(),
    /** Absent for a server that is not ours. */
    uiUrl: z.string().optional(),
  }),
  storeUrl: z.string(),
  /** Base URL by endpoint name. */
  endpoints: z.record(z.string(), z.string()),
  /** By purpose, e.g. `temporal`, `endpoint-mail`, `worker-cpu.health`; kept from one `up` to the next. */
  ports: z.record(z.string(), z.number().int()),
});
export type StackAddresses = z.infer<typeof StackAddresses>;

/** Undefined when no `up` ever ran here. @throws Error that names the file when it cannot be understood */
export function readAddresses(layout: StateLayout): StackAddresses | undefined {
  if (!existsSync(layout.addresses)) return undefined;
  try {
    return StackAddresses.parse(JSON.parse(readFileSync(layout.addresses, 'utf8')));
  } catch (error) {
    throw new Error(`${layout.addresses} cannot be understood; remove it and run \`goto3 up\``, { cause: error });
  }
}

export function writeAddresses(layout: StateLayout, addresses: StackAddresses): void {
  writeFileAtomic(layout.addresses, `${JSON.stringify(addresses, undefined, 2)}\n`);
}

/**
 * A port for each purpose. One that the last `up` chose is kept while it is free or a living child of ours has it: else
 * the child would have to be replaced. Otherwise the preferred port, or any free one.
 */
export async function choosePorts(
  layout: StateLayout,
  preferred: Readonly<Record<string, number | undefined>>,
): Promise<Record<string, number>> {
  const before = readAddresses(layout)?.ports ?? {};
  const ours = new Set(
    readTable(layout.run)
      .filter((record) => record.process !== null && isAlive(record.process))
      .flatMap((record) => record.ports),
  );
  const chosen: Record<string, number> = {};
  for (const purpose of Object.keys(preferred)) {
    const port = before[purpose];
    if (port !== undefined && (ours.has(port) || (await isFree(port)))) chosen[purpose] = port;
  }
  const open = Object.keys(preferred).filter((purpose) => chosen[purpose] === undefined);
  const ports = await freePorts(open.map((purpose) => preferred[purpose]));
  open.forEach((purpose, i) => {
    chosen[purpose] = ports[i]!;
  });
  return chosen;
}
