import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type EnvironmentSpec, EnvironmentsFile } from '../contracts/environments.ts';
import { environmentsFileName, findEnvironmentsFile } from './environments-path.ts';
import { InvalidArgument, InvalidFile } from './errors.ts';
import { nearest } from './nearest.ts';
import { problemLines } from './problem-lines.ts';
import { parseYaml } from './yaml.ts';

/** The variables that an environment of `goto3.yaml` stands for: everything else reads these. */
export type EnvironmentVariables = Record<string, string>;

/** @throws InvalidFile that names field, line and the nearest right spelling */
export function readEnvironmentsFile(path: string): EnvironmentsFile {
  const bytes = readFileSync(path);
  const file = parseYaml(path, bytes);
  const parsed = EnvironmentsFile.safeParse(file);
  if (parsed.success) return parsed.data;
  throw new InvalidFile(path, problemLines(parsed.error.issues, { file, bytes, schema: EnvironmentsFile }));
}

/**
 * What `--env` means. Variables that are set already win over the file's default environment, as everywhere; against an
 * environment that was asked for by name they are refused: half of production and half of a laptop is neither.
 *
 * @param asked `--env`, or GOTO3_ENV
 * @returns the variables to set; none without a file and without `--env`
 * @throws InvalidFile, InvalidArgument
 */
export function chosenVariables(
  asked: string | undefined,
  folder: string,
  set: Readonly<Record<string, string | undefined>>,
): EnvironmentVariables {
  const path = findEnvironmentsFile(folder);
  if (path === undefined) {
    if (asked === undefined) return {};
    throw new InvalidArgument(`--env ${asked}: there is no ${environmentsFileName} in ${folder} or above it`);
  }
  const { default: fallback, environments } = readEnvironmentsFile(path);
  const name = asked ?? fallback;
  const spec = Object.hasOwn(environments, name) ? environments[name] : undefined;
  if (!spec) {
    const names = Object.keys(environments);
    throw new InvalidArgument(
      `--env ${name}: ${path} has no such environment${nearest(name, names)}; it has ${names.join(', ')}`,
    );
  }
  const variables = variablesOf(spec, { path, name });
  for (const [variable, value] of Object.entries(variables)) {
    const already = set[variable];
    if (!already || already === value) continue;
    if (asked !== undefined)
      throw new InvalidArgument(
        `--env ${name}: ${path} says ${variable}=${value}, but it is set to ${already}; unset it`,
      );
    delete variables[variable];
  }
  return variables;
}

function storeVariables(store: NonNullable<EnvironmentSpec['store']>): Record<string, string | undefined> {
  if (typeof store === 'string') return { GOTO3_STORE: store };
  return {
    GOTO3_STORE: store.url,
    GOTO3_STORE_CACHE: store.cache,
    GOTO3_S3_BUCKET_OWNER: store.bucketOwner,
    GOTO3_S3_KMS_KEY: store.kmsKey,
    AWS_REGION: store.region,
    AWS_ENDPOINT_URL_S3: store.endpoint,
  };
}

function variablesOf(spec: EnvironmentSpec, { path, name }: { path: string; name: string }): EnvironmentVariables {
  const { temporal, store, secrets, targets } = spec;
  const folder = dirname(path);
  const home = resolve(folder, spec.home ?? '.goto3');
  const targetsFile =
    targets === undefined ? undefined : typeof targets === 'string' ? resolve(folder, targets) : `${path}#${name}`;
  return Object.fromEntries(
    Object.entries({
      GOTO3_HOME: home,
      ...storeVariables(store ?? pathToFileURL(join(home, 'store')).href),
      GOTO3_SECRETS: secrets && resolve(folder, secrets.folder),
      GOTO3_TARGETS: targetsFile,
      ...(temporal && 'profile' in temporal
        ? {
            TEMPORAL_PROFILE: temporal.profile,
            TEMPORAL_CONFIG_FILE: temporal.configFile && resolve(folder, temporal.configFile),
          }
        : { TEMPORAL_ADDRESS: temporal?.address, TEMPORAL_NAMESPACE: temporal?.namespace }),
    }).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
