import { LoopUnderFault } from './loop.ts';
import { StackUnderFault } from './stack.ts';

/**
 * One stack for all faults that a stack outlives: bringing one up costs ten seconds of two cores. Faults keep to loops of
 * their own; the checker looks at everything, so a fault that harms a neighbour shows. What a failed test has left would
 * show in every later one too: whoever asks after a failure gets a new stack.
 */
let starting: Promise<StackUnderFault> | undefined;
let mail: Promise<LoopUnderFault> | undefined;
let isSpoiled = false;

export async function sharedStack(): Promise<StackUnderFault> {
  if (isSpoiled) await putAway();
  starting ??= spoiledBy(
    StackUnderFault.create(['mail', 'ward', 'duel']).then(async (stack) => {
      await stack.start();
      return stack;
    }),
  );
  return await starting;
}

/** The loop whose first version the endpoint `mail` serves. */
export async function servedLoop(): Promise<LoopUnderFault> {
  const stack = await sharedStack();
  mail ??= spoiledBy(serveMail(stack));
  return await mail;
}

async function serveMail(stack: StackUnderFault): Promise<LoopUnderFault> {
  const loop = await LoopUnderFault.write(stack, 'mail', { endpoint: 'mail' });
  await loop.apply();
  const { outcome, detail } = await loop.report(1);
  if (outcome !== 'deployed') throw new Error(`the first version of mail is not served: ${outcome}, ${detail}`);
  return loop;
}

async function spoiledBy<T>(made: Promise<T>): Promise<T> {
  try {
    return await made;
  } catch (error) {
    isSpoiled = true;
    throw error;
  }
}

async function putAway(): Promise<void> {
  const stack = await starting?.catch(() => undefined);
  [starting, mail, isSpoiled] = [undefined, undefined, false];
  await stack?.destroy();
}

afterEach(function () {
  isSpoiled ||= this.currentTest?.isFailed() === true;
});

after(async function () {
  this.timeout(60_000);
  await putAway();
});
