import { notFound, quotaExceeded } from './api-error.ts';
import { requireMembers } from './checks.ts';
import type { Fields, Resource } from './resource.ts';

export function tag(resources: readonly Resource[], input: Fields): Fields {
  requireMembers(input, ['resourceArn', 'tags']);
  const resource = byArn(resources, input);
  const tags = { ...resource.tags, ...(input.tags as Record<string, string>) };
  // API_TagResource: ServiceQuotaExceededException; 50 is the tags of any AWS resource (Tagging AWS Resources guide).
  if (Object.keys(tags).length > 50) throw quotaExceeded(resource.type, 'More than 50 tags.');
  resource.tags = tags;
  return {};
}

export function untag(resources: readonly Resource[], input: Fields): Fields {
  requireMembers(input, ['resourceArn', 'tagKeys']);
  const resource = byArn(resources, input);
  for (const key of input.tagKeys as string[]) delete resource.tags[key];
  return {};
}

export function tagsOf(resources: readonly Resource[], input: Fields): Fields {
  requireMembers(input, ['resourceArn']);
  return { tags: byArn(resources, input).tags };
}

function byArn(resources: readonly Resource[], { resourceArn }: Fields): Resource {
  const found = resources.find(({ arn }) => arn === resourceArn);
  if (!found) throw notFound('Resource', String(resourceArn));
  return found;
}
