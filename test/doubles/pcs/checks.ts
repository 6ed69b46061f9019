import { ApiError, invalid } from './api-error.ts';
import type { Fields } from './resource.ts';

/** Patterns of the API Reference, written down a second time: a slip of the client's is not repeated here. */
const clusterName = /^(?!pcs_)[A-Za-z][A-Za-z0-9-]{2,39}$/;
const partName = /^(?!pcs_)[A-Za-z][A-Za-z0-9-]{2,24}$/;
const token = /^.{8,100}$/s;
/** API_SchedulerRequest: "Valid Values". */
const slurmVersions = ['24.11', '25.05', '25.11', '26.05'];

export function requireMembers(input: Fields, names: readonly string[]): void {
  for (const name of names) if (input[name] === undefined) throw invalid(name, 'is required');
}

export function checkToken(input: Fields): void {
  if (input.clientToken !== undefined && !(typeof input.clientToken === 'string' && token.test(input.clientToken)))
    throw invalid('clientToken', 'must have 8 to 100 characters');
}

export function checkName(field: string, name: unknown): void {
  const pattern = field === 'clusterName' ? clusterName : partName;
  if (typeof name !== 'string' || !pattern.test(name)) throw invalid(field, `does not match ${pattern.source}`);
}

/** "The scheduler version isn't supported" is one of ValidationException's examples. */
export function checkVersion(version: unknown): void {
  if (!slurmVersions.includes(String(version))) throw invalid('scheduler.version', 'is not supported');
}

/** API_CreateComputeNodeGroup: customLaunchTemplate, launchTemplateMode, amiId, securityGroupIds. */
export function checkLaunchTemplate(input: Fields): void {
  const { launchTemplateMode = 'CUSTOM', customLaunchTemplate } = input;
  if (launchTemplateMode === 'MANAGED') {
    requireMembers(input, ['amiId', 'securityGroupIds']);
    if (customLaunchTemplate) throw invalid('customLaunchTemplate', 'must be omitted when the mode is MANAGED');
  } else requireMembers(input, ['customLaunchTemplate']);
}

/** 1 to 100, 0 for the default of 10; an unknown token is an InvalidToken error (API_ListClusters). */
export function pageOf<T>(all: readonly T[], input: Fields): { page: readonly T[]; nextToken?: string } {
  const { nextToken, maxResults } = input;
  const size = Number(maxResults ?? 0) || 10;
  if (size < 0 || size > 100) throw invalid('maxResults', 'must be 1 to 100');
  const from = nextToken === undefined ? 0 : Number(Buffer.from(String(nextToken), 'base64url').toString());
  if (!Number.isInteger(from) || from < 0)
    throw new ApiError('InvalidToken', 400, 'The pagination token is not valid.');
  const to = from + size;
  return {
    page: all.slice(from, to),
    ...(to < all.length && { nextToken: Buffer.from(String(to)).toString('base64url') }),
  };
}
