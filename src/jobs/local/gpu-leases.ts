import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { readControlFile } from './job-folder.ts';
import type { ProcessIdentity } from './processes.ts';
import { publishOnce } from './publish.ts';

/** Where the leases of one host's GPUs are, and which GPUs it has (as `nvidia-smi -L` lists them). */
export interface GpuLeaseSettings {
  folder: string;
  devices: readonly string[];
}

/** The wrapper that holds devices, and the job that it holds them for. */
export interface LeaseHolder extends ProcessIdentity {
  job: string;
  jobFolder: string;
  marker: string;
  at: string;
}

/**
 * Leases of whole GPUs, first come, first served, k at a time or none.
 *
 * Each device has a log of leases, `<device>/<n>.json`; the newest one counts, for as long as its holder lives. So there
 * is nothing to give back and nothing to forget: a killed holder frees its devices by being dead, and a worker that comes
 * back finds the leases of live jobs as they were. Lease n+1 is created exclusively; nothing is ever taken away, so two
 * processes that both find a dead holder cannot both replace it.
 */
export class GpuLeases {
  readonly #settings: GpuLeaseSettings;
  readonly #isHeld: (holder: LeaseHolder) => Promise<boolean>;

  /** `isHeld`: whether the holder or any process of its program lives; it may first kill what a dead holder left. */
  constructor(settings: GpuLeaseSettings, isHeld: (holder: LeaseHolder) => Promise<boolean>) {
    for (const device of settings.devices)
      if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(device))
        throw new Error(`GPU id ${JSON.stringify(device)}: not an id`);
    this.#settings = settings;
    this.#isHeld = isHeld;
  }

  /**
   * `count` devices for this holder, or undefined when it has to wait; then it has a place in the queue and asks again.
   * Devices that it holds already are among those it gets.
   */
  async tryAcquire(count: number, mine: LeaseHolder): Promise<string[] | undefined> {
    const ticket = await this.#enqueue(mine);
    if (await this.#somebodyIsAhead(ticket)) return undefined;
    const taken = await this.#take(count, mine);
    if (taken) await unlinkIfThere(join(this.#queue, ticket));
    return taken;
  }

  /** Leaves the queue, for a job that is cancelled while it waits. */
  async withdraw(mine: LeaseHolder): Promise<void> {
    for (const ticket of await this.#tickets())
      if (isTicketOf(ticket, mine)) await unlinkIfThere(join(this.#queue, ticket));
  }

  get #queue(): string {
    return join(this.#settings.folder, 'waiting');
  }

  async #tickets(): Promise<string[]> {
    return (await readdir(this.#queue)).filter((name) => name.endsWith('.json')).sort();
  }

  /** A ticket's name sorts by arrival. */
  async #enqueue(mine: LeaseHolder): Promise<string> {
    await mkdir(this.#queue, { recursive: true });
    const before = (await this.#tickets()).find((ticket) => isTicketOf(ticket, mine));
    if (before) return before;
    const ticket = `${String(Date.now()).padStart(15, '0')}_${mine.marker}.json`;
    await publishOnce(join(this.#queue, ticket), JSON.stringify(mine));
    return ticket;
  }

  /** Strictly in order, so that a job which needs all devices is not overtaken for ever by small ones. */
  async #somebodyIsAhead(ticket: string): Promise<boolean> {
    for (const other of (await this.#tickets()).filter((name) => name < ticket)) {
      const holder = await readControlFile<LeaseHolder>(join(this.#queue, other));
      if (holder && (await this.#isHeld(holder))) return true;
      await unlinkIfThere(join(this.#queue, other));
    }
    return false;
  }

  async #take(count: number, mine: LeaseHolder): Promise<string[] | undefined> {
    const held: string[] = [];
    const free: { device: string; newest: number }[] = [];
    for (const device of this.#settings.devices) {
      const newest = await this.#newest(device);
      const holder = newest === 0 ? undefined : await readControlFile<LeaseHolder>(this.#path(device, newest));
      if (holder?.marker === mine.marker) held.push(device);
      else if (!holder || !(await this.#isHeld(holder))) free.push({ device, newest });
    }
    const needed = Math.max(0, count - held.length);
    if (free.length < needed) return undefined;

    const taken: { device: string; number: number }[] = [];
    for (const { device, newest } of free.slice(0, needed)) {
      if (await this.#leaseOne(device, newest + 1, mine)) taken.push({ device, number: newest + 1 });
      else {
        for (const lease of taken) await unlinkIfThere(this.#path(lease.device, lease.number));
        return undefined;
      }
    }
    const mineNow = new Set([...held, ...taken.map((lease) => lease.device)]);
    return this.#settings.devices.filter((device) => mineNow.has(device)).slice(0, count);
  }

  async #leaseOne(device: string, number: number, mine: LeaseHolder): Promise<boolean> {
    await mkdir(join(this.#settings.folder, device), { recursive: true });
    if (!(await publishOnce(this.#path(device, number), JSON.stringify(mine)))) return false;
    // A process that slept between reading and writing may have filled the gap that a clean-up left.
    if ((await this.#newest(device)) !== number) {
      await unlinkIfThere(this.#path(device, number));
      return false;
    }
    for (const old of await this.#numbers(device))
      if (old < number - keptLeases) await unlinkIfThere(this.#path(device, old));
    return true;
  }

  #path(device: string, number: number): string {
    return join(this.#settings.folder, device, `${number}.json`);
  }

  async #newest(device: string): Promise<number> {
    return Math.max(0, ...(await this.#numbers(device)));
  }

  async #numbers(device: string): Promise<number[]> {
    try {
      const names = await readdir(join(this.#settings.folder, device));
      return names.flatMap((name) => (/^\d+\.json$/.test(name) ? [Number.parseInt(name, 10)] : []));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }
}

/** Old leases of a device that stay for people to read. */
const keptLeases = 8;

const isTicketOf = (ticket: string, holder: LeaseHolder): boolean => ticket.endsWith(`_${holder.marker}.json`);

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
