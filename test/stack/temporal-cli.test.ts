import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Environment, readEnvironment } from '../../src/stack/environment.ts';
import { ensureTemporalCli, type TemporalCli, TemporalCliMissing } from '../../src/stack/temporal-cli.ts';
import { until } from './up-process.ts';

describe('ensureTemporalCli', () => {
  let folder: string;
  let lines: string[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'goto3-cli-'));
    lines = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** An executable of this Node; gives its path. */
  function program(path: string, source: string): string {
    const file = join(folder, path);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, `#!${process.execPath}\n${source}`, { mode: 0o755 });
    return file;
  }
  const temporalSource = (server: string): string =>
    `console.log('temporal version 1.5.1 (Server ${server}, UI 2.42.1)');`;
  /** Does what `go install` does, once the file `go-on` is there; notes each run. */
  const fakeGo = (): string =>
    program(
      'go/go',
      `const { appendFileSync, existsSync, mkdirSync, writeFileSync } = require('node:fs');
       appendFileSync(${JSON.stringify(join(folder, 'go-runs'))}, process.argv.slice(2).join(' ') + '\\n');
       console.error('github.com/temporalio/cli/temporalcli');
       const wait = setInterval(() => {
         if (!existsSync(${JSON.stringify(join(folder, 'go-on'))})) return;
         clearInterval(wait);
         const text = ${JSON.stringify(`#!${process.execPath}\n${temporalSource('1.29.1')}`)};
         writeFileSync(process.env.GOBIN + '/temporal', text, { mode: 0o755 });
       }, 20);`,
    );
  const goOn = (): void => writeFileSync(join(folder, 'go-on'), '');
  const goRuns = (): string[] => readFileSync(join(folder, 'go-runs'), 'utf8').trimEnd().split('\n');

  const environment = (given: Partial<Environment> = {}): Environment => ({
    ...readEnvironment({}),
    cacheFolder: join(folder, 'cache'),
    path: [join(folder, 'path'), join(folder, 'go')],
    ...given,
  });
  const ensure = (given: Partial<Environment> = {}): Promise<TemporalCli> =>
    ensureTemporalCli({
      log: (line) => lines.push(line),
      environment: environment(given),
      download: () => Promise.reject(new Error('the network is closed')),
    });

  it('takes TEMPORAL_CLI first, and never another one in its place', async () => {
    const given = program('mine/temporal', temporalSource('1.30.2'));
    program('path/temporal', temporalSource('1.29.1'));
    assert.deepEqual(await ensure({ temporalCli: given }), {
      path: given,
      version: '1.5.1',
      serverVersion: '1.30.2',
      source: 'TEMPORAL_CLI',
    });
    await assert.rejects(
      ensure({ temporalCli: join(folder, 'none') }),
      /TEMPORAL_CLI: .*none is not an executable file/,
    );
  });

  it('passes over one on PATH that is too old or something else, for the cache', async () => {
    const cached = program('cache/bin/temporal', temporalSource('1.29.1'));
    const onPath = program('path/temporal', temporalSource('1.29.1'));
    assert.equal((await ensure()).path, onPath);
    for (const source of [temporalSource('1.28.0'), temporalSource('1.29.0'), "console.log('a clock')"]) {
      program('path/temporal', source);
      const found = await ensure();
      assert.deepEqual([found.path, found.source], [cached, 'cache']);
    }
  });

  it('builds with Go when the download is closed: two at once build once, and nothing is left behind', async () => {
    fakeGo();
    const both = Promise.all([ensure(), ensure()]);
    await until('the second waits', () => lines.some((line) => /is fetching the Temporal CLI; waiting/.test(line)));
    assert.ok(!existsSync(join(folder, 'cache/bin/temporal')), 'nothing half done under the final name');
    goOn();
    const cached = join(folder, 'cache/bin/temporal');
    assert.deepEqual(
      (await both).map(({ path }) => path),
      [cached, cached],
    );
    assert.equal(goRuns().length, 1);
    assert.match(goRuns()[0]!, /^install .*github\.com\/temporalio\/cli\/cmd\/temporal@v1\.5\.1$/);
    assert.deepEqual(
      readdirSync(join(folder, 'cache/bin')).filter((file) => !file.startsWith('temporal')),
      [],
    );
    assert.equal((await ensure()).source, 'cache');
  });

  it('replaces a broken file in the cache and the half of a killed predecessor', async () => {
    fakeGo();
    goOn();
    program('cache/bin/temporal', 'process.exit(1); // truncated');
    program('cache/bin/.fetch-1/temporal', '');
    assert.equal((await ensure()).source, 'go install');
    assert.ok(!existsSync(join(folder, 'cache/bin/.fetch-1')));
  });

  it('says what it tried and the three ways out', async () => {
    program('go/go', "console.error('dial tcp: no route to host'); process.exit(1);");
    await assert.rejects(ensure(), (error: Error) => {
      assert.ok(error instanceof TemporalCliMissing);
      for (const part of [
        /PATH: there is no `temporal`/,
        /download: the network is closed/,
        /go install: dial tcp: no route to host/,
        /TEMPORAL_CLI=/,
        /docs\.temporal\.io\/cli/,
        /go\.dev\/dl/,
      ])
        assert.match(error.message, part);
      return true;
    });
  });
});
