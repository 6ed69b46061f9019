import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { inputs } from '../../../src/aws/pcs/inputs.ts';
import { setUpPcs } from './fixture.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('docs/aws.md, AWS PCS', () => {
  let section: string;
  before(async () => {
    const [, after = ''] = (await readFile(join(root, 'docs/aws.md'), 'utf8')).split('\n## AWS PCS\n');
    section = after.split('\n## ')[0]!;
  });
  const block = (language: string): string => new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 's').exec(section)![1]!;

  it('its program makes a cluster; run again, it finds the one it made', async () => {
    const fixture = await setUpPcs();
    const folder = await mkdtemp(join(tmpdir(), 'goto3-pcs-docs-'));
    try {
      const program = join(folder, 'example.mts');
      await writeFile(program, block('ts').replaceAll("'./src/", `'${root}src/`));
      const run = async (): Promise<string> => {
        const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', program], {
          cwd: root,
          env: {
            PATH: process.env.PATH,
            AWS_ACCESS_KEY_ID: 'AKIDDOCS',
            AWS_SECRET_ACCESS_KEY: 'secret',
            AWS_ENDPOINT_URL_PCS: fixture.double.url,
          },
        });
        return stdout.trim();
      };
      assert.equal(await run(), 'CREATING');
      fixture.pass(1_000);
      assert.equal(await run(), 'ACTIVE');
      assert.equal(fixture.double.account.resources().length, 1);
    } finally {
      await rm(folder, { recursive: true });
      await fixture.stop();
    }
  });

  it('its policy allows every call that the client can make, and no other', () => {
    const { Statement } = JSON.parse(block('json')) as { Statement: { Action: string[] }[] };
    const calls = Object.keys(inputs).map((operation) => `pcs:${operation}`);
    assert.deepEqual(Statement.flatMap(({ Action }) => Action).toSorted(), calls.toSorted());
  });

  it('the variables and the files that it names are there', async () => {
    const endpoint = await readFile(join(root, 'src/aws/pcs/endpoint.ts'), 'utf8');
    for (const [name] of section.matchAll(/AWS_(?:USE|ENDPOINT)_\w+/g)) assert.ok(endpoint.includes(name), name);
    const named = [...section.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map((match) => match[1]!);
    assert.ok(named.length >= 1);
    for (const file of named) assert.ok((await readFile(join(root, file))).length > 0, file);
  });
});
