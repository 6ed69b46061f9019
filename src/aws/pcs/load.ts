import type * as own from './index.ts';

export type PcsPackage = typeof own;

const name: string = '@aws-sdk/client-pcs';

/**
 * AWS's own client where it is installed (an optional peer: not every registry has it), else ours. Both take the same
 * inputs, commands and `send`; errors are told apart by `name` (`kindOfAwsError`), which both set alike. AWS's checks no
 * input: `checkInput` before it does.
 * @throws what the package throws when it is there and does not load
 */
export async function loadPcs(
  load: (name: string) => Promise<unknown> = (specifier) => import(specifier),
): Promise<PcsPackage> {
  try {
    return (await load(name)) as PcsPackage;
  } catch (error) {
    if (!isAbsent(error as NodeJS.ErrnoException)) throw error;
    return await import('./index.ts');
  }
}

/** A package that is there and lacks one of its own parts is broken, not absent. */
function isAbsent({ code, message }: NodeJS.ErrnoException): boolean {
  return code === 'ERR_MODULE_NOT_FOUND' && message.includes(`'${name}'`);
}
