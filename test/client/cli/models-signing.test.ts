import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readLoopFile } from '../../../src/client/loop-file.ts';
import { readEnvironment } from '../../../src/stack/environment.ts';
import { readSigning } from '../../../src/stack/signing.ts';
import { openStore } from '../../../src/store/open.ts';
import { InvalidSigning } from '../../../src/store/signing/errors.ts';
import { verifyFolder } from '../../../src/store/signing/folder.ts';
import { fences, readPage } from '../../deploy/docs/page.ts';
import { type FilledStore, fillStore, loop } from '../filled-store.ts';
import { documentOf, runCli } from './run-cli.ts';

describe('goto3 models sign, verify, export', function () {
  this.timeout(60_000);
  let home: string;
  let filled: FilledStore;
  const policy = (): string => join(home, 'signing.yaml');

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'goto3-signing-'));
    filled = await fillStore(
      await openStore(join(home, 'store'), { durability: 'fast' }),
      await readLoopFile(fileURLToPath(new URL('../loop.yaml', import.meta.url))),
    );
  });
  after(() => rm(home, { recursive: true }));

  it('works as docs/security.md says: key, policy, sign, verify, export', async () => {
    const page = readPage('security.md');
    const making = fences(page, 'sh').find((fence) => fence.includes('openssl ecparam'));
    // The page stands in the folder of `.goto3`; here that folder is the home.
    execFileSync('sh', ['-ec', making!.replaceAll('.goto3/', `${home}/`)], { stdio: 'pipe' });
    await writeFile(policy(), fences(page, 'yaml').find((fence) => fence.startsWith('signing:'))!);

    const before = await runCli(home, ['models', 'verify', `${loop}@2`, '--json']);
    assert.equal(before.code, 3);
    const { error } = documentOf<{ error: { type: string; message: string } }>(before);
    assert.equal(error.type, 'SignatureRefused');
    assert.match(error.message, /it is not signed/);

    const signed = await runCli(home, ['models', 'sign', `${loop}@2`, '--json']);
    assert.deepEqual([signed.code, documentOf<{ digest: string }>(signed).digest], [0, filled.models[1]]);
    const verified = await runCli(home, ['models', 'verify', `${loop}@2`]);
    assert.equal(verified.code, 0, verified.stderr);
    assert.match(verified.stdout, /signed by +key [0-9a-f]{64}/);

    const folder = join(home, 'exported');
    assert.equal((await runCli(home, ['models', 'export', `${loop}@2`, folder])).code, 0);
    const { trusted } = (await readSigning(readEnvironment({ GOTO3_HOME: home })))!;
    assert.equal((await verifyFolder(await readFile(join(folder, 'model.sig')), folder, trusted)).name, loop);
    assert.equal((await runCli(home, ['models', 'export', `${loop}@2`, folder])).code, 2);
  });

  it('a policy that cannot hold is refused by file and field', async () => {
    const [key] = [join(home, 'release.pub')];
    await mkdir(join(home, 'keys'), { recursive: true });
    await writeFile(key, 'no key');
    const bad: [text: string, why: RegExp][] = [
      ['signing: { required: true }', /signing.yaml, signing.trusted: expected at least one key/],
      ['signing: { required: yes }', /signing.required/],
      ['signing: { trusted: [gone.pub] }', /gone.pub: cannot be read \(ENOENT\)/],
      ['signing: { trusted: [release.pub] }', /release.pub: expected a PEM key/],
      ['signing: { signWith: { secret: k }, extra: 1 }', /signing.yaml, signing/],
      ['signing: [', /signing.yaml/],
    ];
    for (const [text, why] of bad) {
      await writeFile(policy(), text);
      await assert.rejects(
        readSigning(readEnvironment({ GOTO3_HOME: home })),
        (error: Error) => error instanceof InvalidSigning && why.test(error.message),
        text,
      );
    }
    await rm(policy());
    assert.equal(await readSigning(readEnvironment({ GOTO3_HOME: home })), undefined);
  });
});
