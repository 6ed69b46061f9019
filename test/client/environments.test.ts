import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environmentFinding } from '../../src/client/cli/environment-finding.ts';
import { environmentsJsonSchema } from '../../src/client/cli/environments-schema.ts';
import { connect } from '../../src/client/connect.ts';
import { chosenVariables } from '../../src/client/environments.ts';
import { EnvironmentSpec } from '../../src/contracts/environments.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import { localSecrets } from '../../src/stack/secrets.ts';
import { readTargets } from '../../src/stack/targets.ts';
import { startTemporal } from '../temporal.ts';
import { runCli } from './cli/run-cli.ts';

const file = `apiVersion: goto3/v1
default: dev
environments:
  dev: {}
  staging:
    home: state/staging
    temporal: { address: "temporal.staging:7233", namespace: ml }
    store: file:///srv/goto3/staging
    secrets: { folder: secrets/staging }
    targets:
      slurm:
        lab: { transport: { kind: cli }, folder: /shared/goto3 }
  prod:
    temporal: { profile: prod, configFile: temporal.toml }
    targets: targets.yaml
`;
const profiles = `[profile.default]
address = "127.0.0.1:1"
[profile.prod]
address = "prod.example:7233"
namespace = "ml-prod"
api_key = "planted-key"
[profile.prod.tls]
server_name = "inside.example"
`;

describe('environments', function () {
  this.timeout(60_000);
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-env-'));
    await writeFile(join(folder, 'goto3.yaml'), file);
    await writeFile(join(folder, 'temporal.toml'), profiles);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('are found from a folder below, and are the variables that everything reads', async () => {
    const below = join(folder, 'loops', 'spam');
    await mkdir(below, { recursive: true });
    assert.deepEqual(chosenVariables('staging', below, {}), {
      GOTO3_HOME: join(folder, 'state/staging'),
      GOTO3_STORE: 'file:///srv/goto3/staging',
      GOTO3_SECRETS: join(folder, 'secrets/staging'),
      GOTO3_TARGETS: `${join(folder, 'goto3.yaml')}#staging`,
      TEMPORAL_ADDRESS: 'temporal.staging:7233',
      TEMPORAL_NAMESPACE: 'ml',
    });
    const environment = readEnvironment(chosenVariables(undefined, below, {}), below);
    assert.equal(environment.home, join(folder, '.goto3'));
    assert.equal(environment.temporalAddress, undefined);
  });

  it('have targets in the file, and secrets in their folder', async () => {
    const { targetsFile } = readEnvironment(chosenVariables('staging', folder, {}));
    assert.deepEqual(Object.keys((await readTargets(targetsFile)).slurm), ['lab']);
    await mkdir(join(folder, 'secrets/staging'), { recursive: true });
    await writeFile(join(folder, 'secrets/staging/warehouse'), 'one\n');
    const variables = chosenVariables('staging', folder, {});
    assert.equal(await localSecrets(variables.GOTO3_HOME!, variables).resolve('warehouse'), 'one');
  });

  it('take address, namespace, TLS and API key from a profile of the Temporal CLI', () => {
    const environment = readEnvironment(chosenVariables('prod', folder, {}));
    assert.deepEqual([environment.temporalAddress, environment.temporalNamespace], ['prod.example:7233', 'ml-prod']);
    const { tls, apiKey } = environment.temporalConnection;
    assert.equal(apiKey, 'planted-key');
    assert.equal(typeof tls === 'object' && tls?.serverNameOverride, 'inside.example');
  });

  it('are not mixed: a variable wins over the default, and is refused against --env', () => {
    const set = { GOTO3_STORE: 'file:///elsewhere' };
    assert.equal(chosenVariables(undefined, folder, set).GOTO3_STORE, undefined);
    assert.throws(
      () => chosenVariables('staging', folder, set),
      /--env staging: .*is set to file:\/\/\/elsewhere; unset/,
    );
  });

  const broken: [what: string, from: string, to: string, problem: RegExp][] = [
    ['a misspelt field', 'secrets:', 'secrts:', /staging\.secrts: unknown field; did you mean "secrets"\? \(line 9\)/],
    [
      'a default that is none',
      'default: dev',
      'default: dve',
      /default: expected one of .*; did you mean "dev"\? \(line 2\)/,
    ],
    ['no port', 'staging:7233', 'staging', /staging\.temporal\.address: expected host:port \(line 7\)/],
    ['a store of another kind', 'file:///srv', 'ftp:///srv', /staging\.store: expected a URL such as .* \(line 8\)/],
  ];
  for (const [what, from, to, problem] of broken)
    it(`names field, line and spelling: ${what}`, async () => {
      await writeFile(join(folder, 'goto3.yaml'), file.replace(from, to));
      assert.throws(() => chosenVariables(undefined, folder, {}), problem);
    });

  it('names what --env could have meant, from the command line too', async () => {
    assert.throws(() => chosenVariables('stagin', folder, {}), /did you mean "staging"\?; it has dev, staging, prod/);
    assert.throws(() => chosenVariables('prod', tmpdir(), {}), /there is no goto3\.yaml in/);
    const run = await runCli(join(folder, 'home'), ['status', '--env', 'staging']);
    assert.equal(run.code, 2);
    assert.match(run.stderr, /--env staging: there is no goto3\.yaml in/);
  });

  it('are what doctor looks at: which is in force, and what in any of them points at nothing', async () => {
    const environment = readEnvironment(chosenVariables('staging', folder, {}));
    const found = await environmentFinding(folder, environment);
    assert.equal(found.status, 'warn');
    assert.match(found.found, /goto3\.yaml: dev of dev, staging, prod; state in .*state\/staging/);
    assert.match(
      found.found,
      /staging: no folder of secrets at .*secrets\/staging; prod: no targets at .*targets\.yaml/,
    );
    await mkdir(join(folder, 'secrets/staging'), { recursive: true });
    await writeFile(join(folder, 'targets.yaml'), 'slurm: { lab: { foldr: /x } }\n');
    assert.match((await environmentFinding(folder, environment)).found, /; prod: .*targets\.yaml/);
    await rm(join(folder, 'goto3.yaml'));
    assert.match((await environmentFinding(folder, environment)).found, /none in .*: variables and defaults hold/);
  });

  it('have a JSON Schema, and are checked by validate', async () => {
    const { properties } = environmentsJsonSchema() as {
      properties: Record<string, { additionalProperties?: object }>;
    };
    const fields = (properties.environments!.additionalProperties as { properties: object }).properties;
    for (const field of Object.keys(EnvironmentSpec.shape)) assert.ok(field in fields, field);
    const good = await runCli(join(folder, 'home'), ['validate', join(folder, 'goto3.yaml')]);
    assert.match(good.stdout, /is valid: dev, staging, prod; without --env it is dev/);
    await writeFile(join(folder, 'goto3.yaml'), file.replace('secrets:', 'secrts:'));
    const bad = await runCli(join(folder, 'home'), ['validate', join(folder, 'goto3.yaml')]);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /secrts: unknown field; did you mean "secrets"\? \(line 9\)/);
  });

  it('a profile leads to a real server', async () => {
    const temporal = await startTemporal();
    try {
      const text = (await readFile(join(folder, 'temporal.toml'), 'utf8')).replace('127.0.0.1:1', temporal.address);
      await writeFile(join(folder, 'temporal.toml'), text);
      const environment = readEnvironment({
        GOTO3_HOME: join(folder, 'home'),
        TEMPORAL_PROFILE: 'default',
        TEMPORAL_CONFIG_FILE: join(folder, 'temporal.toml'),
      });
      const goto3 = await connect({ environment });
      try {
        assert.equal(goto3.address, temporal.address);
        await assert.rejects(goto3.loop('none').status(), /none/);
      } finally {
        await goto3.close();
      }
    } finally {
      await temporal.teardown();
    }
  });
});
