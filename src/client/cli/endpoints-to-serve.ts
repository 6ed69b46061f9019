import { isName } from '../../contracts/names.ts';
import { readAddresses } from '../../stack/addresses.ts';
import type { Environment } from '../../stack/environment.ts';
import { stateLayout } from '../../stack/layout.ts';
import type { Store } from '../../store/types.ts';
import { appliedLoop, appliedLoops } from '../apply.ts';
import { InvalidArgument } from '../errors.ts';

/** What `up` serves: the endpoints it was told, those of all applied loops, and those of earlier ups; sorted. */
export async function endpointsToServe(
  environment: Environment,
  store: Store,
  asked: readonly string[],
): Promise<string[]> {
  for (const name of asked)
    if (!isName(name))
      throw new InvalidArgument(
        `--endpoint ${JSON.stringify(name)}: expected lower-case letters, digits, ".", "_" and "-"`,
      );
  const names = new Set([...asked, ...Object.keys(readAddresses(stateLayout(environment.home))?.endpoints ?? {})]);
  for await (const loop of appliedLoops(store)) {
    const rollout = (await appliedLoop(store, loop))?.spec.rollout;
    if (rollout && rollout !== 'none') names.add(rollout.endpoint);
  }
  return [...names].sort();
}
