import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Where everything that the embedded stack keeps lies below its state folder; all paths are absolute. */
export interface StateLayout {
  readonly home: string;
  /** One record per supervised child (`<name>.json`) and the lock of `up`. */
  readonly run: string;
  /** `<name>.log` and, after rotation, `<name>.log.1`. */
  readonly logs: string;
  /** The embedded server's database, its side files and the stamp of the version that wrote them. */
  readonly temporal: string;
  readonly database: string;
  readonly databaseStamp: string;
  /** Ports and addresses, chosen by the first `up` and kept so that every command and restart finds them. */
  readonly addresses: string;
  readonly store: string;
  readonly jobs: string;
}

/** The layout below `home`; touches nothing. */
export function stateLayout(home: string): StateLayout {
  const root = resolve(home);
  return {
    home: root,
    run: join(root, 'run'),
    logs: join(root, 'logs'),
    temporal: join(root, 'temporal'),
    database: join(root, 'temporal', 'temporal.db'),
    databaseStamp: join(root, 'temporal', 'version.json'),
    addresses: join(root, 'addresses.json'),
    store: join(root, 'store'),
    jobs: join(root, 'jobs'),
  };
}

/** Creates the folders that the stack itself writes; the store and the jobs folder belong to others. */
export function createStateFolders(layout: StateLayout): void {
  for (const folder of [layout.run, layout.logs, layout.temporal]) mkdirSync(folder, { recursive: true, mode: 0o700 });
}
