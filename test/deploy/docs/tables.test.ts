import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { searchAttributes } from '../../../src/contracts/search-attributes.ts';
import { defaultLimits } from '../../../src/serving/endpoint/options.ts';
import { environmentVariables } from '../../../src/stack/environment.ts';
import { preferredPorts } from '../../../src/stack/stack.ts';
import { readComposeFile, readRepositoryFile } from '../compose-file.ts';
import { codeOf, codeRows, fences, readPage } from './page.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('docs/deploy.md', () => {
  const page = readPage('deploy.md');
  const { services } = readComposeFile('docker-compose.yml');

  it('has every environment variable, as the code tells it', () => {
    const documented = codeRows(page)
      .filter(([name]) => /^`[A-Z_]+\d?`$|^`GOTO3/.test(name!) && /[A-Z]/.test(name!))
      .map(([name, meaning, fallback]) => ({ name: codeOf(name), meaning, fallback }));
    assert.deepEqual(
      documented,
      environmentVariables.map((variable) => ({ ...variable })),
    );
  });

  it('has the ports of `up` and of compose', () => {
    const ports = new Map(
      codeRows(page).flatMap(([port, ...rest]) => (/^`\d+`$/.test(port!) ? [[codeOf(port)!, rest]] : [])),
    );
    for (const [what, port] of Object.entries(preferredPorts)) assert.ok(ports.has(String(port)), what);
    const published = Object.values(services).flatMap(({ ports = [] }) => ports.map((port) => port.split(':')[1]!));
    assert.deepEqual(
      [...ports]
        .filter(([, row]) => row[2] === '127.0.0.1')
        .map(([port]) => port)
        .sort(),
      published.sort(),
    );
  });

  it('has one line for each search attribute', () => {
    const created = [...page.matchAll(/search-attribute create --name (\w+) --type (\w+)/g)].map(([, ...pair]) => pair);
    const wanted = Object.values(searchAttributes).map(({ name, type }) => [name, type]);
    assert.deepEqual(
      created.map(([name, type]) => [name, type!.toUpperCase()]),
      wanted,
    );
  });

  it('names services and paths of the compose file that are there', () => {
    for (const line of fences(page, 'sh')
      .join('\n')
      .split('\n')
      .filter((line) => line.startsWith('docker compose'))) {
      const service = /(?:run --rm|logs -f|exec) ([\w-]+)/.exec(line)?.[1];
      if (service) assert.ok(services[service], line);
      const path = /\/app\/(\S+)/.exec(line)?.[1];
      if (path) assert.ok(existsSync(join(root, path)), line);
    }
  });

  it('has units that systemd understands', async function () {
    const folder = mkdtempSync(join(tmpdir(), 'goto3-units-'));
    try {
      const files = readdirSync(join(root, 'deploy', 'systemd')).map((file) => {
        // An instance of a template, and our checkout in the place of the installed one.
        const path = join(folder, file.replace('@.', file.includes('worker') ? '@cpu.' : '@mail.'));
        writeFileSync(
          path,
          readRepositoryFile(`deploy/systemd/${file}`)
            .replaceAll('/opt/goto3', root.slice(0, -1))
            .replaceAll('/usr/bin/node', process.execPath),
        );
        return path;
      });
      assert.equal(files.length, 3);
      const { stdout, stderr } = await promisify(execFile)('systemd-analyze', ['verify', ...files]);
      assert.equal(stdout + stderr, '');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      console.log('      skipped: systemd-analyze is missing; apt-get install systemd');
      this.skip();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('docs/limits.md', () => {
  it("has the endpoint's limits as they are", () => {
    const rows = codeRows(readPage('limits.md')).filter(([name]) => (codeOf(name) ?? '') in defaultLimits);
    assert.ok(rows.length >= 9);
    for (const [name, value] of rows)
      assert.equal(Number(value), defaultLimits[codeOf(name) as keyof typeof defaultLimits], name);
  });
});

describe('docs/architecture.md', () => {
  const page = readPage('architecture.md');

  it('has every room of src/, in table and diagram', () => {
    const rooms = readdirSync(join(root, 'src'));
    const [diagram] = fences(page, 'mermaid');
    for (const room of rooms) {
      assert.ok(page.includes(`| \`src/${room}\``), room);
      assert.match(diagram!, new RegExp(`\\b${room}\\b`), room);
    }
  });
});
