import { linkSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isS3Address } from '../../contracts/s3-address.ts';
import type { StoreOptions } from '../../store/open.ts';
import { refusesSecondWrite } from '../../store/s3/trial.ts';
import { readAddresses } from '../addresses.ts';
import type { Probe } from '../doctor.ts';
import { stateLayout } from '../layout.ts';
import { isFree } from '../ports.ts';
import { isAlive } from '../process-identity.mjs';
import { readTable } from '../process-table.ts';
import { waitUntilServing } from '../readiness.ts';
import { preferredPorts } from '../stack.ts';
import { cachedTemporalCli, findTemporalCli } from '../temporal-cli.ts';
import { goPackageVersion } from '../temporal-cli-sources.ts';
import { existingFolder } from './existing-folder.ts';

export const temporalCliProbe: Probe = async (environment) => {
  const tried: string[] = [];
  const cli = await findTemporalCli(environment, tried);
  if (cli) return { status: 'ok', found: `${cli.version}, server ${cli.serverVersion} (${cli.source}: ${cli.path})` };
  return {
    // `up` fetches it by itself, unless the user named one that does not work.
    status: environment.temporalCli === undefined ? 'warn' : 'missing',
    found: tried.join('; '),
    fix: `GOBIN=${join(cachedTemporalCli(environment), '..')} go install ${goPackageVersion}`,
  };
};

export const serverProbe: Probe = async (environment) => {
  const known = readAddresses(stateLayout(environment.home))?.temporal.address;
  const address = environment.temporalAddress ?? known;
  if (address === undefined) return { status: 'warn', found: 'not started yet', fix: 'goto3 up' };
  try {
    const { temporalConnection } = environment;
    await waitUntilServing(address, Date.now(), environment.temporalAddress === undefined ? {} : temporalConnection);
    return { status: 'ok', found: `serves at ${address}${temporalConnection.tls ? ', by TLS' : ''}` };
  } catch (error) {
    const found = (error as Error).message;
    // Ours is started by `up`; theirs has to be there.
    return environment.temporalAddress ? { status: 'missing', found } : { status: 'warn', found, fix: 'goto3 up' };
  }
};

export const portsProbe: Probe = async ({ home }) => {
  const ours = readTable(stateLayout(home).run)
    .filter((record) => record.process !== null && isAlive(record.process))
    .flatMap((record) => record.ports);
  const states = await Promise.all(
    Object.values(preferredPorts).map(async (port) => {
      if (ours.includes(port)) return `${port} ours`;
      return (await isFree(port)) ? `${port} free` : `${port} taken, another will be chosen`;
    }),
  );
  return { status: states.some((state) => state.includes('taken')) ? 'warn' : 'ok', found: states.join(', ') };
};

/** A ref is made by link(): a file system that has none, or lets it replace a file, cannot hold the store. */
export const storeProbe: Probe = async ({ storeUrl, storeOptions }) => {
  if (isS3Address(storeUrl)) return await bucketProbe(storeUrl, storeOptions);
  const folder = existingFolder(fileURLToPath(storeUrl));
  const fix = `GOTO3_STORE=file:///some/local/disk goto3 doctor`;
  let trial: string | undefined;
  try {
    trial = mkdtempSync(join(folder, '.doctor-'));
    const [content, name] = [join(trial, 'content'), join(trial, 'name')];
    writeFileSync(content, 'x', { flush: true });
    linkSync(content, name);
    if (!refusesSecondLink(content, name))
      return { status: 'missing', found: `${folder}: link() replaces a file`, fix };
    return { status: 'ok', found: `${folder} is writable, link() is exclusive` };
  } catch (error) {
    return { status: 'missing', found: (error as Error).message, fix };
  } finally {
    if (trial) rmSync(trial, { recursive: true, force: true });
  }
};

/** A ref is made by `If-None-Match: *`: a server that ignores it lets two writers both win. */
async function bucketProbe(url: string, { s3 = {} }: StoreOptions): ReturnType<Probe> {
  try {
    if (await refusesSecondWrite(url, s3))
      return { status: 'ok', found: `${url} is writable, If-None-Match is honoured` };
    return {
      status: 'missing',
      found: `${url}: the server ignores If-None-Match`,
      fix: 'use AWS S3 or a server with conditional writes',
    };
  } catch (error) {
    const found = (error as Error).message;
    return { status: 'missing', found, fix: 'docs/aws.md' };
  }
}

function refusesSecondLink(content: string, name: string): boolean {
  try {
    linkSync(content, name);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EEXIST';
  }
}
