import { type Environment, inheritedEnvironment, readEnvironment } from '../stack/environment.ts';
import { readSigning } from '../stack/signing.ts';
import { openStore } from '../store/open.ts';
import { type SigningRules, withSigning } from '../store/signing/registry.ts';
import type { KeptStore } from '../store/upkeep.ts';
import { chosenVariables } from './environments.ts';

export interface OpenEnvironment {
  environment: Environment;
  /** What a process that worked in it would inherit. */
  variables: Readonly<Record<string, string | undefined>>;
  /** Models in it are verified by its own policy. */
  store: KeptStore;
  signing: SigningRules | undefined;
}

/**
 * One environment of goto3.yaml beside another: this process enters neither. What the file says holds; variables that
 * are set mean the environment that the process itself works in, so they say nothing about this one.
 */
export async function openEnvironment(name: string, folder: string = process.cwd()): Promise<OpenEnvironment> {
  const inherited = inheritedEnvironment();
  const common = Object.fromEntries(Object.entries(inherited).filter(([key]) => !/^(?:GOTO3|TEMPORAL)_/.test(key)));
  const variables = { ...common, ...chosenVariables(name, folder, {}) };
  const environment = readEnvironment(variables, folder);
  const signing = await readSigning(environment);
  const store = await openStore(environment.storeUrl, environment.storeOptions);
  return { environment, variables, store: withSigning(store, signing), signing };
}
