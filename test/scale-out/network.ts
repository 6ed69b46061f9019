import { type ChildProcess, execFileSync, type StdioOptions, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const ip = (...argv: string[]): string =>
  execFileSync('ip', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Names carry the pid of their owner, so that what a killed run has left can be told from what a living one uses. */
const namespacePrefix = 'goto3-';
const bridgePrefix = 'g3b';

/** A computer of its own as far as the network and its name go; the disks are those of this machine. */
export interface Machine {
  /** Its host name. */
  name: string;
  address: string;
  /** A program on it. Its pid is the child's: nothing stays between. */
  spawn(argv: readonly string[], options: { env: NodeJS.ProcessEnv; stdio: StdioOptions }): ChildProcess;
}

/**
 * Machines on one bridge, each a network namespace with a host name, reached from here by their addresses and by nobody
 * else. 198.18.0.0/15 is the range for tests of networks (RFC 2544): no router carries it.
 */
export class PrivateNetwork {
  /** Of this process, as the machines see it. */
  readonly address: string;
  readonly #bridge = `${bridgePrefix}${process.pid}`;
  readonly #subnet: string;
  readonly #namespaces: string[] = [];
  readonly #atExit = (): void => this.destroy();

  private constructor(subnet: string) {
    this.#subnet = subnet;
    this.address = `${subnet}.1`;
  }

  static create(): PrivateNetwork {
    sweep();
    const taken = ip('-o', '-4', 'addr', 'show');
    const third = Array.from({ length: 256 }, (_, i) => (process.pid + i) % 256).find(
      (n) => !taken.includes(` 198.18.${n}.`),
    );
    if (third === undefined) throw new Error('198.18.0.0/16 is in use');
    const network = new PrivateNetwork(`198.18.${third}`);
    // Also when a test fails before it could tidy up.
    process.once('exit', network.#atExit);
    ip('link', 'add', network.#bridge, 'type', 'bridge');
    ip('addr', 'add', `${network.address}/24`, 'dev', network.#bridge);
    ip('link', 'set', network.#bridge, 'up');
    return network;
  }

  /** @param name host name, at most 20 letters */
  machine(name: string): Machine {
    const namespace = `${namespacePrefix}${process.pid}-${name}`;
    const n = this.#namespaces.push(namespace) + 1;
    const address = `${this.#subnet}.${n}`;
    const outside = `g3v${process.pid}.${n}`;
    ip('netns', 'add', namespace);
    ip('link', 'add', outside, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
    ip('link', 'set', outside, 'master', this.#bridge);
    ip('link', 'set', outside, 'up');
    ip('-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    for (const device of ['lo', 'eth0']) ip('-n', namespace, 'link', 'set', device, 'up');
    // Each of these programs becomes the next one (exec), so the child is the program itself.
    const onIt = ['netns', 'exec', namespace, 'unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', name];
    return {
      name,
      address,
      spawn: (argv, options) => spawn('ip', [...onIt, ...argv], options),
    };
  }

  /** Pids of everything that runs on the machines: also what outlived the program that started it. */
  processes(): number[] {
    return this.#namespaces.flatMap(processesIn);
  }

  /** Ends whatever still runs on the machines, then removes them. Synchronous: the last thing a process does. */
  destroy(): void {
    process.removeListener('exit', this.#atExit);
    for (const namespace of this.#namespaces.splice(0)) removeNamespace(namespace);
    removeLink(this.#bridge);
  }
}

/** What runs that were killed have left: their owner is no more. */
function sweep(): void {
  const ownerOf = (name: string, prefix: string): number => Number(name.slice(prefix.length).split('-')[0]);
  const names = (list: string): string[] => list.split('\n').map((line) => line.trim().split(/\s+/)[0] ?? '');
  for (const name of names(ip('netns', 'list')))
    if (new RegExp(`^${namespacePrefix}\\d+-`).test(name) && !isThere(ownerOf(name, namespacePrefix)))
      removeNamespace(name);
  for (const name of names(ip('-br', 'link', 'show', 'type', 'bridge')))
    if (new RegExp(`^${bridgePrefix}\\d+$`).test(name) && !isThere(ownerOf(name, bridgePrefix))) removeLink(name);
}

function removeNamespace(namespace: string): void {
  // A program may start another while it is being ended: until none is left.
  for (let pids = processesIn(namespace); pids.length > 0; pids = processesIn(namespace))
    for (const pid of pids) kill(pid);
  // Its end of the cable goes with it, and so does the other end.
  if (ip('netns', 'list').split(/\s+/).includes(namespace)) ip('netns', 'del', namespace);
}

function removeLink(name: string): void {
  if (ip('-br', 'link', 'show').split(/\s+/).includes(name)) ip('link', 'del', name);
}

function processesIn(namespace: string): number[] {
  if (!ip('netns', 'list').split(/\s+/).includes(namespace)) return [];
  return ip('netns', 'pids', namespace).split('\n').filter(Boolean).map(Number).filter(isRunning);
}

/** Not one that is dead and waits for its parent to ask. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
