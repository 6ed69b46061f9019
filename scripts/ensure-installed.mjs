#!/usr/bin/env node
// Run before everything else on a fresh clone, so it needs Node alone: installs the npm packages when they are missing or
// are not those of package-lock.json. Quiet when there is nothing to do; safe to run many times at once.
// Usage: node scripts/ensure-installed.mjs [folder of package.json]
import { spawnSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tryLock } from '../src/stack/exclusive-lock.mjs';
import { differenceToLockFile } from '../src/stack/installed-packages.mjs';

const oldestNode = [20, 6];

function tooOld() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1]);
}

async function main() {
  if (tooOld()) {
    console.error(
      `goto3 needs Node ${oldestNode.join('.')} or newer; this is ${process.versions.node} (${process.execPath}).`,
    );
    return 1;
  }
  const root = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..'));
  if (differenceToLockFile(root) === undefined) return 0;

  let told = false;
  for (;;) {
    // Not in node_modules: `npm ci` empties that.
    const attempt = tryLock(join(root, '.goto3'), 'install');
    if (attempt.acquired) {
      try {
        const missing = differenceToLockFile(root);
        return missing === undefined ? 0 : install(root, missing);
      } finally {
        attempt.release();
      }
    }
    if (!told) console.error(`goto3: process ${attempt.holder.pid} installs the npm packages; waiting for it.`);
    told = true;
    await new Promise((wake) => setTimeout(wake, 200));
  }
}

function install(root, missing) {
  console.error(`goto3: ${missing}; running npm ci in ${root} …`);
  const started = performance.now();
  // stdout belongs to the program that comes next.
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (error) {
    console.error(`goto3: npm could not be started: ${error.message}`);
    return 1;
  }
  if (status !== 0) {
    console.error(`goto3: npm ci failed after ${seconds} s; its own lines above say why.`);
    return status ?? 1;
  }
  console.error(`goto3: npm packages installed in ${seconds} s.`);
  return 0;
}

process.exitCode = await main();
