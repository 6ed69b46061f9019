import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localSecrets } from '../../src/stack/secrets.ts';

describe('local secrets', () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'goto3-secrets-'));
    await mkdir(join(home, 'secrets'));
  });
  afterEach(() => rm(home, { recursive: true, force: true }));

  it('come from a file, without its last line end', async () => {
    await writeFile(join(home, 'secrets', 'warehouse-url'), 'postgres://x\n');
    assert.equal(await localSecrets(home, {}).resolve('warehouse-url'), 'postgres://x');
  });

  it('come from the environment first', async () => {
    await writeFile(join(home, 'secrets', 'a.b-c'), 'file');
    assert.equal(await localSecrets(home, { GOTO3_SECRET_A_B_C: 'variable' }).resolve('a.b-c'), 'variable');
    assert.equal(await localSecrets(home, { GOTO3_SECRET_A_B_C: '' }).resolve('a.b-c'), 'file');
  });

  it('that are not set are named, with where to write them', async () => {
    await assert.rejects(localSecrets(home, {}).resolve('oncall'), {
      type: 'InvalidInput',
      message: `secret "oncall" is not set: write it to ${join(home, 'secrets', 'oncall')} or to GOTO3_SECRET_ONCALL`,
    });
  });

  it('cannot be read from elsewhere', async () => {
    await writeFile(join(home, 'database.db'), 'not a secret');
    for (const name of ['../database.db', '/etc/hostname', 'a/b', '', '..', 'A'])
      await assert.rejects(localSecrets(home, {}).resolve(name), {
        type: 'InvalidInput',
        message: /expected lower-case/,
      });
  });
});
