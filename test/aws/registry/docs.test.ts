import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { SageMakerTargets } from '../../../src/contracts/sagemaker-target.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('docs/aws.md, SageMaker’s model registry', () => {
  let section: string;
  before(async () => {
    const [, after = ''] = (await readFile(join(root, 'docs/aws.md'), 'utf8')).split(
      "\n## SageMaker's model registry\n",
    );
    section = after.split('\n## ')[0]!;
  });
  const block = (language: string): string => new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(section)![1]!;

  it('its target is one; a second registry is refused', () => {
    const { sagemaker } = parse(block('yaml')) as { sagemaker: { prod: object } };
    assert.equal(SageMakerTargets.parse(sagemaker).prod!.registry!.prefix, 'prod-');
    assert.throws(() => SageMakerTargets.parse({ ...sagemaker, other: sagemaker.prod }), /a model has one registry/);
  });

  it('the policy allows every call that the registry makes, and no other', async () => {
    const { Statement } = JSON.parse(block('json')) as { Statement: { Action: string[] }[] };
    const folder = join(root, 'src/registry/sagemaker');
    const called = new Set(['sagemaker:AddTags']); // Needed by a create with tags (API_CreateModelPackageGroup).
    for (const file of await readdir(folder))
      for (const [, action] of (await readFile(join(folder, file), 'utf8')).matchAll(/'(sagemaker:[A-Z]\w+)'/g))
        called.add(action!);
    assert.deepEqual(Statement[0]!.Action.toSorted(), [...called].toSorted());
  });

  it('its tests are there', async () => {
    const named = [...section.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map((match) => match[1]!);
    assert.equal(named.length, 3);
    for (const file of named) assert.ok((await readFile(join(root, file))).length > 0, file);
  });
});
