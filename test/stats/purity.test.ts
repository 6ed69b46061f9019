import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';

const folder = new URL('../../src/stats/', import.meta.url);
const files = readdirSync(folder).filter((name) => name.endsWith('.ts'));

describe('stats: pure numbers', () => {
  it('imports nothing at run time but its own files and contracts without zod, and asks no clock and no chance', () => {
    assert.ok(files.length > 15);
    for (const name of files) {
      const source = readFileSync(new URL(name, folder), 'utf8');
      const imports = [...source.matchAll(/^import (type )?[^;]*? from '([^']+)';/gms)];
      for (const [, isType, from] of imports)
        if (!isType)
          assert.match(from!, /^\.\/[a-z-]+\.ts$|^\.\.\/contracts\/(failures|units)\.ts$/, `${name} imports ${from}`);
      assert.doesNotMatch(source, /Math\.random|Date\b|performance|process\.|require\(/, name);
    }
  });
});
