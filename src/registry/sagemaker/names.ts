import { createHash } from 'node:crypto';
import type { Digest } from '../../contracts/digest.ts';

/** ModelPackageGroupName: at most 63 of `[a-zA-Z0-9](-*[a-zA-Z0-9])*`; names of ours may have "." and "_" too. */
const longestGroup = 63;
/** ActionName and ContextName. */
const longestEntity = 120;
const hashDigits = 12;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A name as AWS has them: as it is where that is one, else readable with a hash that keeps it apart. Pure. */
function entityName(text: string, longest: number): string {
  if (text.length <= longest && /^[a-zA-Z0-9](-*[a-zA-Z0-9])*$/.test(text)) return text;
  const readable = text
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .slice(0, longest - hashDigits - 1)
    .replaceAll(/^-+|-+$/g, '');
  return `${readable}-${sha256(text).slice(0, hashDigits)}`;
}

/** The group of a model's versions. @param prefix of the target, ends with "-" */
export const groupName = (model: string, prefix = ''): string => entityName(`${prefix}${model}`, longestGroup);

/**
 * ClientToken of the one package of a candidate: at most 36 of `[a-zA-Z0-9-]` (API_CreateModelPackage). 128 bits of hash, so
 * that a repetition by another process is the same request.
 */
export const packageToken = (groupArn: string, candidate: Digest): string =>
  sha256(`package\0${groupArn}\0${candidate}`).slice(0, 32);

/** An artifact, the action of a training, the context of an endpoint: one for the store and the name. */
export const lineageName = (store: string, kind: 'dataset' | 'training' | 'model' | 'endpoint', name: string): string =>
  entityName(`goto3/${kind}/${name}/${sha256(store).slice(0, hashDigits)}`, longestEntity);
