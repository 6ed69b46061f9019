#!/usr/bin/env node
/**
 * After `npm install`: adds the packages of other platforms to package-lock.json where the registry at hand does not have
 * them. npm leaves such optional packages out of the lock file, and then `npm ci` refuses it as out of date everywhere.
 * An entry needs no more than its version and its platform; npm never fetches it on another one.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const processors = ['arm64', 'x64', 'ia32', 'arm', 'ppc64', 'riscv64', 's390x', 'loong64', 'mips64el'];
const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));

let added = 0;
for (const [path, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
  if (path === '') continue;
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const place = `node_modules/${name}`;
    const words = name.split(/[/-]/);
    const os = words.filter((word) => systems.includes(word));
    const cpu = words.filter((word) => processors.includes(word));
    if (lock.packages[place] || os.length === 0 || cpu.length === 0) continue;
    const libc =
      words.includes('musl') || words.includes('musleabihf')
        ? ['musl']
        : words.some((word) => word.startsWith('gnu'))
          ? ['glibc']
          : undefined;
    lock.packages[place] = { version, cpu, ...(dev && { dev }), ...(libc && { libc }), optional: true, os };
    added += 1;
  }
}
const sorted = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify({ ...lock, packages: sorted }, null, 2)}\n`);
console.log(`${added} packages of other platforms added to package-lock.json`);
