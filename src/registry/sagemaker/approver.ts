import type { UserContext } from '@aws-sdk/client-sagemaker';
import type { Approvers } from '../../contracts/messages.ts';

/**
 * Names under which the one who decided in SageMaker may be listed as an approver, the surest first: what IAM has proven
 * (ARN, name of the user or of the assumed role), then the profile in Studio. The name of a session is none: whoever assumes
 * a role picks it. Pure.
 */
export function namesOf(who: UserContext | undefined): string[] {
  const arn = who?.IamIdentity?.Arn;
  const user = /^arn:[^:]+:iam::\d{12}:user\/(?:.*\/)?([^/]+)$/.exec(arn ?? '')?.[1];
  const role = /^arn:[^:]+:sts::\d{12}:assumed-role\/([^/]+)\//.exec(arn ?? '')?.[1];
  return [arn, user, role, who?.UserProfileName].filter((name) => name !== undefined);
}

/**
 * The name that the cycle judges by: one that may not approve before one that may, so that nobody gets around the rule by
 * having two; else the surest one, which the cycle then refuses, or takes where everybody may. Pure.
 */
export function approverOf(who: UserContext | undefined, { by, notBy }: Approvers): string {
  const names = namesOf(who);
  return names.find((name) => name === notBy) ?? names.find((name) => by.includes(name)) ?? names[0] ?? 'sagemaker';
}
