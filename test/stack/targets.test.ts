import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidTargets, readTargets } from '../../src/stack/targets.ts';

describe('targets file', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-targets-'));
    path = join(folder, 'targets.yaml');
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('no file, or an empty one, is no targets', async () => {
    assert.deepEqual(await readTargets(path), { slurm: {}, sagemaker: {} });
    await writeFile(path, '# none yet\n');
    assert.deepEqual(await readTargets(path), { slurm: {}, sagemaker: {} });
  });

  it('the example in docs/hpc.md is one', async () => {
    const page = await readFile(new URL('../../docs/hpc.md', import.meta.url), 'utf8');
    await writeFile(path, /```yaml\n(slurm:\n[\s\S]*?)```/.exec(page)![1]!);
    const { slurm } = await readTargets(path);
    assert.deepEqual(Object.keys(slurm), ['lab', 'cloud']);
    assert.deepEqual(slurm.lab?.transport, { kind: 'cli' });
    assert.equal(slurm.cloud?.partition, 'spot');
  });

  it('says which field of which target is wrong', async () => {
    const refused = async (text: string, message: RegExp) => {
      await writeFile(path, text);
      await assert.rejects(readTargets(path), (error: Error) => {
        assert.ok(error instanceof InvalidTargets);
        assert.match(error.message, message);
        return true;
      });
    };
    const transport = 'transport: { kind: cli }';
    await refused(`slurm: { lab: { ${transport} } }`, /slurm\.lab\.folder/);
    await refused(`slurm: { lab: { folder: /x, ${transport}, partition: "a';id;'" } }`, /slurm\.lab\.partition/);
    await refused(`slurm: { lab: { folder: /x, ${transport}, partitions: a } }`, /partitions/);
    await refused(`slurm: { "../x": { folder: /x, ${transport} } }`, /slurm/);
    await refused('slurm: [', /targets\.yaml/);
  });
});
