import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { parse } from 'yaml';
import { taskQueues } from '../../src/contracts/names.ts';
import { defaultLimits } from '../../src/serving/endpoint/options.ts';
import { workerSpec } from '../../src/stack/children.ts';
import { environmentVariables } from '../../src/stack/environment.ts';
import { stateLayout } from '../../src/stack/layout.ts';
import { oldestServerVersion } from '../../src/stack/temporal-cli.ts';
import { temporalServerSpec } from '../../src/stack/temporal-server.ts';
import { durationMs, flagsOf, readComposeFile, readRepositoryFile, type Service } from './compose-file.ts';

const workersEntry = ['node', '--import', 'tsx', 'src/workers/main.ts'];
const repositoryFile = (path: string): URL => new URL(`../../${path}`, import.meta.url);

describe('docker-compose.yml', () => {
  const { services, networks, volumes } = readComposeFile('docker-compose.yml');
  const packageVersion = (JSON.parse(readRepositoryFile('package.json')) as { version: string }).version;
  const entries = Object.entries(services);
  const ours = entries.filter(([, { image }]) => image?.startsWith('goto3:'));
  /** The image's own entry point, unless the service has another. */
  const programOf = ({ entrypoint = workersEntry }: Service): string => entrypoint.at(-1)!;
  const flags = ({ command = [] }: Service): Record<string, string> => flagsOf(command);
  const health = ours.filter(([, service]) => flags(service)['health-port'] !== undefined);
  const runsOnce = (name: string): boolean =>
    entries.some(([, { depends_on }]) => depends_on?.[name]?.condition === 'service_completed_successfully');

  it('has Temporal with PostgreSQL and UI, an S3 server, the four workers, the endpoint and Prometheus', () => {
    for (const name of ['postgresql', 'temporal', 'temporal-ui', 's3', 'endpoint-mail', 'prometheus'])
      assert.ok(services[name], name);
    const queues = ours.filter(([, s]) => programOf(s) === workersEntry.at(-1)).map(([, s]) => flags(s).queue);
    assert.deepEqual(queues, Object.keys(taskQueues));
  });

  it('gives our programs only flags that they read', () => {
    for (const [name, service] of health) {
      const source = readRepositoryFile(programOf(service));
      const options = /parseArgs\(\{\s*options: \{(.*?)\n {4}\}/s.exec(source)?.[1] ?? '';
      const known = [...options.matchAll(/^\s*'?([a-z-]+)'?: \{ type/gm)].map(([, flag]) => flag);
      assert.ok(known.length >= 3, `${programOf(service)}: its flags are not found`);
      for (const flag of Object.keys(flags(service))) assert.ok(known.includes(flag), `${name}: --${flag}`);
    }
    for (const [name, service] of ours)
      assert.ok(existsSync(repositoryFile(programOf(service))), `${name}: entry point`);
  });

  it('sets only variables that our programs read', () => {
    const known: string[] = environmentVariables.map(({ name }) => name);
    for (const [name, { environment = {} }] of ours)
      for (const variable of Object.keys(environment)) assert.ok(known.includes(variable), `${name}: ${variable}`);
  });

  it('checks the health of every service at the port that it listens on, unless it runs to its end', () => {
    for (const [name, service] of entries) {
      if (runsOnce(name) || service.profiles) {
        assert.equal(service.healthcheck, undefined, name);
        continue;
      }
      assert.ok(service.healthcheck, `${name} has no health check`);
    }
    for (const [name, service] of health) {
      const port = flags(service)['health-port'];
      assert.ok(service.healthcheck?.test.join(' ').includes(`http://127.0.0.1:${port}/healthz`), name);
      assert.equal(flags(service)['health-host'], '0.0.0.0', `${name}: Prometheus could not reach it`);
    }
  });

  it('lets Prometheus scrape every worker, the endpoint and Temporal where they listen', () => {
    const config = parse(readRepositoryFile('deploy/prometheus.yml')) as {
      scrape_configs: { job_name: string; static_configs: { targets: string[]; labels?: { endpoint?: string } }[] }[];
    };
    const targets = config.scrape_configs.flatMap((job) => job.static_configs.flatMap((group) => group.targets));
    const temporalPort = services.temporal!.environment!.PROMETHEUS_ENDPOINT!.split(':')[1];
    const expected = health.map(([name, service]) => `${name}:${flags(service)['health-port']}`);
    assert.deepEqual([...targets].sort(), [...expected, `temporal:${temporalPort}`].sort());
    const mount = '/etc/prometheus/prometheus.yml';
    assert.ok(services.prometheus!.volumes!.includes(`./deploy/prometheus.yml:${mount}:ro`));
    assert.ok(services.prometheus!.command!.includes(`--config.file=${mount}`));
  });

  it('publishes on 127.0.0.1 only, and only ports that are listened on', () => {
    const listening: Record<string, string> = {
      'temporal-ui': '8080',
      temporal: services.temporal!.environment!.FRONTEND_GRPC_PORT ?? '7233',
      'endpoint-mail': flags(services['endpoint-mail']!).port!,
      s3: flags({ command: services.s3!.command!.slice(0, 2) }).port!.replace(':', ''),
      prometheus: '9090',
    };
    const published = entries.flatMap(([name, { ports = [] }]) => ports.map((port) => [name, port] as const));
    assert.deepEqual(published.map(([name]) => name).sort(), Object.keys(listening).sort());
    for (const [name, port] of published) {
      const [host, , container] = port.split(':');
      assert.deepEqual([host, container], ['127.0.0.1', listening[name]], name);
    }
    assert.equal(new Set(published.map(([, port]) => port.split(':')[1])).size, published.length);
  });

  it('tells others where the endpoint really is', () => {
    const { advertise, port, endpoint, host } = flags(services['endpoint-mail']!);
    assert.equal(advertise, `http://${services['endpoint-mail']!.hostname}:${port}`);
    assert.deepEqual([endpoint, host], ['mail', '0.0.0.0']);
  });

  it('pins every image, Temporal to the version of our tests, ours to the package', () => {
    for (const [name, { image }] of entries)
      assert.match(image!, /^[a-z0-9/.-]+:v?\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?$/, name);
    assert.equal(services.temporal!.image, `temporalio/server:${oldestServerVersion}`);
    assert.ok(services.schema!.image!.startsWith(`temporalio/admin-tools:${oldestServerVersion}-`));
    for (const [, { image }] of ours) assert.equal(image, `goto3:${packageVersion}`);
  });

  it('gives every program the time that it takes to stop', () => {
    const ports = Object.fromEntries(Object.keys(taskQueues).map((queue) => [`worker-${queue}.health`, 9100]));
    const context = {
      layout: stateLayout('/state'),
      addresses: {
        schema: 'goto3/addresses/v1' as const,
        temporal: { address: 'temporal:7233', namespace: 'default' },
        storeUrl: 'file:///store',
        endpoints: {},
        ports,
      },
      embedded: false,
      code: '',
    };
    for (const queue of Object.keys(taskQueues) as (keyof typeof taskQueues)[]) {
      const graceMs = durationMs(services[`worker-${queue}`]!.stop_grace_period!);
      assert.ok(graceMs >= workerSpec(queue, context).graceMs, queue);
    }
    // Requests, then batches, then evidence and the registration: each may take the whole drain.
    assert.ok(durationMs(services['endpoint-mail']!.stop_grace_period!) > 3 * defaultLimits.drainMs);
  });

  it('runs ours without root, capabilities or a writable root, and reaps their children', () => {
    for (const [name, service] of ours) {
      assert.deepEqual(
        [service.read_only, service.cap_drop, service.security_opt, service.init, service.user],
        [true, ['ALL'], ['no-new-privileges:true'], true, undefined],
        name,
      );
      assert.ok(service.tmpfs?.includes('/tmp'), name);
    }
    for (const [name, service] of entries) {
      assert.deepEqual([service.cap_drop, service.security_opt], [['ALL'], ['no-new-privileges:true']], name);
      assert.ok(service.logging?.options['max-size'], `${name}: its log would fill the disk`);
    }
  });

  it('shares one store, and keeps state and names where a new container finds them again', () => {
    const { environment } = services['worker-control']!;
    assert.deepEqual([environment!.GOTO3_HOME, environment!.GOTO3_STORE], ['/state', 'file:///store']);
    for (const [name, service] of health) {
      const mounts = service.volumes!.filter((volume) => typeof volume === 'string');
      assert.deepEqual(mounts, ['store:/store', `${name.replace('worker-', '')}:/state`], name);
      assert.equal(service.hostname, name);
    }
  });

  it('names every volume and network that it uses, and uses every one that it names', () => {
    const used = entries.flatMap(([, service]) =>
      (service.volumes ?? []).flatMap((volume) =>
        typeof volume === 'string' && !volume.startsWith('.') ? [volume.split(':')[0]!] : [],
      ),
    );
    assert.deepEqual([...new Set(used)].sort(), Object.keys(volumes!).sort());
    const inNetworks = entries.flatMap(([, service]) => service.networks ?? ['default']);
    assert.deepEqual([...new Set(inNetworks)].sort(), Object.keys(networks!).sort());
    assert.deepEqual(
      entries.filter(([, service]) => service.networks?.includes('database')).map(([name]) => name),
      ['postgresql', 'schema', 'temporal'],
    );
    for (const [name, { volumes: mounts = [] }] of entries)
      for (const mount of mounts)
        if (typeof mount === 'string' && mount.startsWith('./'))
          assert.ok(existsSync(repositoryFile(mount.split(':')[0]!)), `${name}: ${mount}`);
  });

  it('starts things after what they need, without a circle', () => {
    const depth = (name: string, seen: readonly string[] = []): number => {
      assert.ok(services[name], `${seen.at(-1)} depends on ${name}`);
      assert.ok(!seen.includes(name), `a circle: ${[...seen, name].join(' → ')}`);
      return (
        1 + Math.max(0, ...Object.keys(services[name].depends_on ?? {}).map((other) => depth(other, [...seen, name])))
      );
    };
    for (const [name] of entries) depth(name);
    for (const [name, service] of ours)
      if (programOf(service) === workersEntry.at(-1))
        assert.equal(service.depends_on?.namespace?.condition, 'service_completed_successfully', name);
    assert.equal(services['endpoint-mail']!.depends_on, undefined, 'it serves while Temporal is away');
  });

  it('has no secret in it: each comes from .env, and the example has a line for each', () => {
    const source = readRepositoryFile('docker-compose.yml');
    const example = readRepositoryFile('deploy/env.example');
    const variables = [...source.matchAll(/\$\{([A-Z0-9_]+)([^}]*)\}/g)].map(
      ([, name, rest]) => [name!, rest!] as const,
    );
    for (const [name, rest] of variables) {
      assert.match(example, new RegExp(`^(# )?${name}=`, 'm'));
      if (/PASSWORD|SECRET/.test(name)) assert.match(rest, /^:\?/, `${name} must be required`);
    }
    for (const [name, { environment = {} }] of entries)
      for (const [variable, value] of Object.entries(environment))
        if (/PASSWORD|PWD|SECRET|KEY/.test(variable)) assert.match(value, /^\$\{[A-Z0-9_]+:\?/, `${name}: ${variable}`);
  });

  it('gives Temporal the dynamic configuration that the embedded server has', () => {
    const { argv } = temporalServerSpec({
      cli: { path: 'temporal', serverVersion: oldestServerVersion },
      layout: stateLayout('/state'),
      port: 1,
      uiPort: 2,
      namespace: 'default',
      fsync: false,
    });
    const embedded = argv.flatMap((word, i) => (argv[i - 1] === '--dynamic-config-value' ? [word] : []));
    const file = parse(readRepositoryFile('deploy/temporal/dynamic-config.yaml')) as Record<
      string,
      [{ value: unknown }]
    >;
    const configured = Object.entries(file).map(([key, [{ value }]]) => `${key}=${String(value)}`);
    assert.ok(embedded.length > 0);
    assert.deepEqual(configured.sort(), embedded.sort());
    const { volumes: mounts, environment } = services.temporal!;
    const target = environment!.DYNAMIC_CONFIG_FILE_PATH;
    assert.ok(mounts!.includes(`./deploy/temporal/dynamic-config.yaml:${target}:ro`));
  });

  it('has a GPU override for a service that exists', () => {
    const gpu = readComposeFile('deploy/compose.gpu.yml').services;
    assert.deepEqual(Object.keys(gpu), ['worker-gpu']);
    assert.equal(gpu['worker-gpu']!.deploy!.resources.reservations.devices[0]!.driver, 'nvidia');
  });
});
