import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { SageMakerTargets } from '../../../src/contracts/sagemaker-target.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('docs/aws.md, training on SageMaker', () => {
  let section: string;
  before(async () => {
    const [, after = ''] = (await readFile(join(root, 'docs/aws.md'), 'utf8')).split('\n## Training on SageMaker\n');
    section = after.split('\n## ')[0]!;
  });
  const blocks = (language: string): string[] =>
    [...section.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map((match) => match[1]!);

  it('its target is one', () => {
    const { sagemaker } = parse(blocks('yaml')[0]!) as { sagemaker: object };
    const { prod } = SageMakerTargets.parse(sagemaker);
    assert.equal(prod!.instances.length, 2);
  });

  it('the worker’s policy allows every call that the runner makes, and no other of SageMaker and the logs', async () => {
    const [worker, role] = blocks('json').map(
      (text) => JSON.parse(text) as { Statement: { Action: string | string[] }[] },
    );
    assert.ok(role);
    const allowed = worker!.Statement.flatMap(({ Action }) => Action).filter((action) =>
      /^(sagemaker|logs):/.test(action),
    );
    const folder = join(root, 'src/jobs/sagemaker');
    const called = new Set(['sagemaker:AddTags']); // Needed by a create with tags (API_CreateTrainingJob).
    for (const file of await readdir(folder))
      for (const [, action] of (await readFile(join(folder, file), 'utf8')).matchAll(
        /'((?:sagemaker|logs):[A-Z]\w+)'/g,
      ))
        called.add(action!);
    assert.deepEqual(allowed.toSorted(), [...called].toSorted());
  });

  it('its tests are there', async () => {
    const named = [...section.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map((match) => match[1]!);
    assert.ok(named.length >= 2);
    for (const file of named) assert.ok((await readFile(join(root, file))).length > 0, file);
  });
});
