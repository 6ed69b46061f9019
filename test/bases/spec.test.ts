import { strict as assert } from 'node:assert';
import { licenseOf } from '../../src/bases/parts.ts';
import { parseBaseSpec, sourceOf, UnpinnedBase } from '../../src/bases/spec.ts';
import { failureTypes } from '../../src/contracts/failures.ts';
import { InvalidInput } from '../../src/store/errors.ts';

const commit = 'c9745ed1d9f207416be6d2e6f8de32d1f16199bf';
const digest = `sha256:${'ab'.repeat(32)}` as const;

describe('bases: specs', () => {
  it('reads the three kinds', () => {
    assert.deepEqual(parseBaseSpec(`hub:sentence-transformers/all-MiniLM-L6-v2@${commit}`), {
      kind: 'hub',
      repo: 'sentence-transformers/all-MiniLM-L6-v2',
      revision: commit,
      content: undefined,
    });
    assert.deepEqual(parseBaseSpec(`folder:/models/mini#${digest}`), {
      kind: 'folder',
      path: '/models/mini',
      content: digest,
    });
    assert.deepEqual(parseBaseSpec(`store:${digest}`), { kind: 'store', digest });
    for (const text of [`hub:a/b@${commit}`, 'folder:/models/mini', `store:${digest}`]) {
      assert.equal(sourceOf(parseBaseSpec(text)), text);
    }
  });

  it('refuses a hub base without a commit, and says what to write', () => {
    for (const revision of ['', '@main', '@v1.0', `@${commit.slice(0, 7)}`, `@${commit.toUpperCase()}`, '@refs/pr/1']) {
      assert.throws(
        () => parseBaseSpec(`hub:owner/name${revision}`),
        (error) =>
          error instanceof UnpinnedBase &&
          error.type === failureTypes.invalidInput &&
          /write hub:owner\/name@<commit>, one of https:\/\/huggingface.co\/owner\/name\/commits\/main/.test(
            error.message,
          ),
        revision,
      );
    }
  });

  it('refuses everything else', () => {
    const texts = [
      '',
      'scratch',
      'hub:',
      `hub:name@${commit}`,
      `hub:../name@${commit}`,
      `hub:a/b/c@${commit}`,
      `hub:a/b@${commit}#sha256:short`,
      `hub:a/b@${commit}#${digest}#${digest}`,
      `hub:a/b..c@${commit}`,
      'folder:relative',
      'folder:/a/../b',
      'folder:/a/',
      'folder:/a\0b',
      'store:sha256:1',
      `store:${digest}#${digest}`,
    ];
    for (const text of texts) {
      assert.throws(
        () => parseBaseSpec(text),
        (error) => error instanceof InvalidInput && /expected hub:owner/.test(error.message),
        text,
      );
    }
  });
});

describe('bases: licences', () => {
  const cases: [card: string, license: string | undefined][] = [
    ['---\nlicense: apache-2.0\ntags: [a]\n---\n# Card', 'apache-2.0'],
    ['---\r\nlicense: mit\r\n---\r\n', 'mit'],
    ['---\nlicense: other\nlicense_name: llama3\n---\n', 'llama3'],
    ['---\nlicense: other\n---\n', 'other'],
    ['---\nlicense: [mit, cc0-1.0]\n---\n', 'mit, cc0-1.0'],
    ['---\nlanguage: en\n---\n', undefined],
    ['---\nlicense: [unclosed\n---\n', undefined],
    ['# Card without front matter\nlicense: mit', undefined],
    ['', undefined],
  ];
  for (const [card, license] of cases) {
    it(`${JSON.stringify(card.slice(0, 40))} → ${license}`, () => {
      assert.equal(licenseOf(Buffer.from(card)), license);
    });
  }
});
