import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';

/**
 * The part of the compose specification that our files use, strictly: an unknown key, or a value of another type, is an
 * error as it is for an engine. github.com/compose-spec/compose-spec, 05-services.md (services), 06-networks.md,
 * 07-volumes.md, 12-interpolation.md; names and types as in schema/compose-spec.json.
 */
const text = z.string();
const duration = z.string().regex(/^(\d+(ms|s|m|h))+$/);
const words = z.array(text).min(1);
const bind = z.strictObject({
  type: z.literal('bind'),
  source: text,
  target: z.string().startsWith('/'),
  read_only: z.boolean().optional(),
});

const HealthCheck = z.strictObject({
  test: z.tuple([z.literal('CMD')], text),
  interval: duration,
  timeout: duration,
  retries: z.number().int().positive(),
  start_period: duration.optional(),
  start_interval: duration.optional(),
});

export const Service = z.strictObject({
  image: text.optional(),
  build: text.optional(),
  profiles: words.optional(),
  hostname: text.optional(),
  user: text.optional(),
  entrypoint: words.optional(),
  command: words.optional(),
  environment: z.record(text, z.string()).optional(),
  env_file: z.array(z.strictObject({ path: text, required: z.boolean() })).optional(),
  ports: words.optional(),
  networks: words.optional(),
  volumes: z.array(z.union([text, bind])).optional(),
  tmpfs: words.optional(),
  read_only: z.boolean().optional(),
  cap_drop: words.optional(),
  security_opt: words.optional(),
  init: z.boolean().optional(),
  restart: z
    .string()
    .regex(/^(unless-stopped|on-failure(:\d+)?)$/)
    .optional(),
  stop_grace_period: duration.optional(),
  logging: z.strictObject({ driver: text, options: z.record(text, z.string()) }).optional(),
  healthcheck: HealthCheck.optional(),
  depends_on: z
    .record(
      text,
      z.strictObject({ condition: z.enum(['service_started', 'service_healthy', 'service_completed_successfully']) }),
    )
    .optional(),
  deploy: z
    .strictObject({
      resources: z.strictObject({
        reservations: z.strictObject({
          devices: z.array(z.strictObject({ driver: text, count: z.literal('all'), capabilities: words })),
        }),
      }),
    })
    .optional(),
});
export type Service = z.infer<typeof Service>;

const ComposeFile = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]*$/)
    .optional(),
  services: z.record(text, Service),
  networks: z.record(text, z.strictObject({ internal: z.boolean().optional() })).optional(),
  volumes: z.record(text, z.strictObject({})).optional(),
});
export type ComposeFile = z.infer<typeof ComposeFile>;

/** A file of the repository as text. */
export const readRepositoryFile = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** Anchors and merges resolved, extension fields (`x-…`) dropped, variables left as they stand. @throws ZodError */
export function readComposeFile(path: string): ComposeFile {
  const file = parse(readRepositoryFile(path), { merge: true, uniqueKeys: true }) as Record<string, unknown>;
  return ComposeFile.parse(Object.fromEntries(Object.entries(file).filter(([key]) => !key.startsWith('x-'))));
}

/** `--flag value` pairs of an argv. */
export function flagsOf(argv: readonly string[]): Record<string, string> {
  const flags: Record<string, string> = {};
  for (let i = 0; i < argv.length; i += 2) flags[argv[i]!.replace(/^--/, '')] = argv[i + 1]!;
  return flags;
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
export const durationMs = (value: string): number =>
  [...value.matchAll(/(\d+)(ms|s|m|h)/g)].reduce((sum, [, count, unit]) => sum + Number(count) * unitsMs[unit!]!, 0);
