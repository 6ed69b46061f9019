import { isAbsolute, resolve } from 'node:path';
import type { Digest } from '../contracts/digest.ts';
import { Digest as DigestSchema } from '../contracts/digest.ts';
import { InvalidInput } from '../store/errors.ts';

/** Where a base comes from; `content`, after `#`, is what its files must be. */
export type BaseSpec =
  | { readonly kind: 'hub'; readonly repo: string; readonly revision: string; readonly content: Digest | undefined }
  | { readonly kind: 'folder'; readonly path: string; readonly content: Digest | undefined }
  | { readonly kind: 'store'; readonly digest: Digest };

const namePart = '[A-Za-z0-9][A-Za-z0-9._-]{0,95}';
const hubPattern = new RegExp(`^hub:(${namePart}/${namePart})(?:@([^#]+))?$`);
const commitPattern = /^[0-9a-f]{40}$/;

/** A hub base without a commit: what it means changes with every push, so the same loop would train on something else. */
export class UnpinnedBase extends InvalidInput {
  readonly repo: string;
  /** Branch, tag or abbreviation that was given, if any. */
  readonly revision: string | undefined;

  constructor(repo: string, revision: string | undefined, commit?: string) {
    const given = revision === undefined ? 'it names no commit' : `"${revision}" is no commit (40 hex digits)`;
    const instead =
      commit === undefined
        ? `write hub:${repo}@<commit>, one of https://huggingface.co/${repo}/commits/main`
        : `write hub:${repo}@${commit}, which ${revision ?? 'main'} is now`;
    super(`base hub:${repo}: ${given}, and what it stands for changes: ${instead}`);
    this.repo = repo;
    this.revision = revision;
  }
}

/**
 * `hub:owner/name@commit`, `folder:/absolute/path`, `store:sha256:…` (a Base manifest); the first two may end with
 * `#sha256:…`, the expected content. Throws `InvalidInput` that says what was expected, `UnpinnedBase` for a hub base
 * without a commit.
 */
export function parseBaseSpec(text: string): BaseSpec {
  const [address = '', fragment, ...more] = text.split('#');
  if (more.length > 0) throw invalid(text);
  const content = fragment === undefined ? undefined : digestOf(fragment, text);
  if (address.startsWith('store:') && content === undefined) {
    return { kind: 'store', digest: digestOf(address.slice('store:'.length), text) };
  }
  if (address.startsWith('folder:')) {
    const path = address.slice('folder:'.length);
    if (!isAbsolute(path) || resolve(path) !== path || path.includes('\0')) throw invalid(text);
    return { kind: 'folder', path, content };
  }
  const [, repo, revision] = hubPattern.exec(address) ?? [];
  if (repo === undefined || repo.includes('..')) throw invalid(text);
  if (revision === undefined || !commitPattern.test(revision)) throw new UnpinnedBase(repo, revision);
  return { kind: 'hub', repo, revision, content };
}

/** The spec without the expected content. */
export function sourceOf(spec: BaseSpec): string {
  switch (spec.kind) {
    case 'hub':
      return `hub:${spec.repo}@${spec.revision}`;
    case 'folder':
      return `folder:${spec.path}`;
    case 'store':
      return `store:${spec.digest}`;
  }
}

function digestOf(digest: string, text: string): Digest {
  if (!DigestSchema.safeParse(digest).success) throw invalid(text);
  return digest as Digest;
}

const invalid = (text: string): InvalidInput =>
  new InvalidInput(
    `base ${JSON.stringify(text.slice(0, 300))}: expected hub:owner/name@commit, folder:/absolute/path or store:sha256:…, the first two with #sha256:… when their content is known`,
  );
