import { LoopUnderFault } from './loop.ts';
import { StackUnderFault } from './stack.ts';

/**
 * One stack for all faults that a stack outlives: bringing one up costs ten seconds of two cores. Faults keep to loops of
 * their own; the checker looks at everything, so a fault that harms a neighbour shows.
 */
let starting: Promise<StackUnderFault> | undefined;

export function sharedStack(): Promise<StackUnderFault> {
  starting ??= StackUnderFault.create(['mail', 'ward', 'duel']).then(async (stack) => {
    await stack.start();
    return stack;
  });
  return starting;
}

let mail: Promise<LoopUnderFault> | undefined;

/** The loop whose first version the endpoint `mail` serves. */
export function servedLoop(): Promise<LoopUnderFault> {
  mail ??= sharedStack().then(async (stack) => {
    const loop = await LoopUnderFault.write(stack, 'mail', { endpoint: 'mail' });
    await loop.apply();
    const { outcome, detail } = await loop.report(1);
    if (outcome !== 'deployed') throw new Error(`the first version of mail is not served: ${outcome}, ${detail}`);
    return loop;
  });
  return mail;
}

after(async function () {
  this.timeout(60_000);
  await (await starting?.catch(() => undefined))?.destroy();
});
