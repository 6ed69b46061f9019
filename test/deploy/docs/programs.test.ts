import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { runDataProgram } from '../../../src/activities/data/program.ts';
import { type DataRow, readRow } from '../../../src/activities/data/rows.ts';
import { type LoopSpec, LoopSpecSchema } from '../../../src/contracts/loop-spec.ts';
import { createLocalRunner } from '../../../src/jobs/local/runner.ts';
import { findTools } from '../../../src/jobs/local/tools.ts';
import { channelsFromBlobs } from '../../../src/jobs/materialise.ts';
import { loadPredictor } from '../../../src/serving/predictor.ts';
import { inheritedEnvironment } from '../../../src/stack/environment.ts';
import { digestOf } from '../../../src/store/canonical-json.ts';
import { numericGraph, writeModel } from '../../serving/models.ts';
import { eventually } from '../../temporal.ts';
import { fences, readPage } from './page.ts';

const page = readPage('your-own-programs.md');
const [pythonData, pythonTraining, pythonEvaluation] = fences(page, 'python') as [string, string, string];
const [nodeData, nodeTraining, nodeEvaluation] = fences(page, 'javascript') as [string, string, string];
const hostEnvironment = inheritedEnvironment();

/** Skips by name what this machine cannot run. */
async function needsPython(context: Mocha.Context, modules: string, install: string): Promise<void> {
  try {
    await promisify(execFile)('python3', ['-c', `import ${modules}`]);
  } catch {
    console.log(`      skipped: python3 with ${modules} is missing; ${install}`);
    context.skip();
  }
}

describe('docs/your-own-programs.md', function () {
  this.timeout(30_000);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'goto3-programs-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  describe('data program', () => {
    const dataOf = (program: string[]): LoopSpec['data'] =>
      LoopSpecSchema.shape.data.parse({
        program,
        columns: { id: 'id', time: 'at', label: 'kind', features: ['width', 'height'] },
        holdout: { share: '20%', newest: 10 },
      });
    const ask = async (program: string[], since: string): Promise<{ ids: string[]; cursor: string }> => {
      const data = dataOf(program);
      const tools = { node: process.execPath, ...(await findTools({ PATH: hostEnvironment.PATH ?? '' })) };
      const secrets = { resolve: () => Promise.reject(new Error('no secrets here')) };
      const ids: string[] = [];
      const { signal } = new AbortController();
      const cursor = await runDataProgram(
        { tools, secrets, hostEnvironment },
        { data, folder, since },
        signal,
        (value) => {
          const row = readRow(value, data, Date.now());
          assert.ok(!('problem' in row), JSON.stringify(row));
          ids.push(row.id);
        },
      );
      return { ids, cursor };
    };

    it('in Node: gives new rows and the next cursor', async () => {
      mkdirSync(join(folder, 'export'));
      writeFileSync(join(folder, 'feed.mjs'), nodeData);
      const exported = (name: string, ids: number[]) =>
        writeFileSync(
          join(folder, 'export', name),
          ids
            .map(
              (id) =>
                `${JSON.stringify({ id: `p${id}`, at: '2026-01-01T00:00:00Z', width: id, height: 1, kind: 'a' })}\n`,
            )
            .join(''),
        );
      exported('0001.jsonl', [1, 2]);
      assert.deepEqual(await ask(['node', 'feed.mjs'], ''), { ids: ['p1', 'p2'], cursor: '0001.jsonl' });
      assert.deepEqual(await ask(['node', 'feed.mjs'], '0001.jsonl'), { ids: [], cursor: '0001.jsonl' });
      exported('0002.jsonl', [3]);
      assert.deepEqual(await ask(['node', 'feed.mjs'], '0001.jsonl'), { ids: ['p3'], cursor: '0002.jsonl' });
    });

    it('in Python: gives new rows and the next cursor', async function () {
      await needsPython(this, 'sqlite3', 'apt-get install python3');
      writeFileSync(join(folder, 'feed.py'), pythonData);
      const sql = (...statements: string[]) =>
        execFileSync('python3', [
          ...[
            '-c',
            'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); [d.execute(s) for s in sys.argv[2:]]; d.commit()',
          ],
          ...[join(folder, 'sales.db'), ...statements],
        ]);
      const parcel = (width: number) => `INSERT INTO parcels VALUES ('2026-01-01T00:00:00Z', ${width}, 1.5, 'b')`;
      sql('CREATE TABLE parcels (at, width, height, kind)', parcel(1), parcel(2));
      assert.deepEqual(await ask(['python3', 'feed.py'], ''), { ids: ['1', '2'], cursor: '2' });
      assert.deepEqual(await ask(['python3', 'feed.py'], '2'), { ids: [], cursor: '2' });
      sql(parcel(3));
      assert.deepEqual(await ask(['python3', 'feed.py'], '2'), { ids: ['3'], cursor: '3' });
    });
  });

  describe('training program', () => {
    /** Wide things are b, high things are a. */
    const rows: DataRow[] = Array.from({ length: 60 }, (_, i) => {
      const [width, height] = i % 2 === 0 ? [2 + (i % 7) / 10, 1] : [1, 2 + (i % 5) / 10];
      return {
        id: `r${i}`,
        time: '2026-01-01T00:00:00.000Z',
        label: i % 2 === 0 ? 'b' : 'a',
        features: { width, height },
        slices: [],
      };
    });

    /** As the gpu worker runs it: by the local runner, under the container contract. */
    const train = async (program: string[]): Promise<string> => {
      const bytes = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      const digest = digestOf(bytes);
      const runner = createLocalRunner({
        jobsFolder: join(folder, 'jobs'),
        host: 'here',
        channels: channelsFromBlobs({ get: async () => Readable.from([bytes]) }),
        secrets: { resolve: () => Promise.reject(new Error('no secrets here')) },
        gpuLeases: { folder: join(folder, 'gpus'), devices: [] },
        hostEnvironment,
      });
      const ref = await runner.submit({
        name: 'parcels/1/train/1',
        program,
        workingDirectory: folder,
        environment: {},
        hyperparameters: { epochs: '300', C: '10' },
        channels: { train: [{ path: 'part-000000.jsonl', digest, sizeBytes: bytes.length }] },
        resources: { gpus: 0, cpus: 1, memoryBytes: 2 ** 30, timeLimitMs: 60_000 },
        progressTimeoutMs: 30_000,
        nice: 0,
        expects: 'model',
      });
      const end = await eventually(
        'the job ends',
        async () => {
          const status = await runner.describe(ref);
          return ['pending', 'running'].includes(status.state) ? undefined : status;
        },
        25_000,
      );
      assert.equal(end.state, 'succeeded', `${end.failureClass}: ${end.reason}`);
      assert.equal(end.progress?.fraction, 1);
      return (await runner.outputs(ref)).modelDirectory;
    };
    const learned = async (modelFolder: string): Promise<void> => {
      const predictor = await loadPredictor(modelFolder);
      const answers = await predictor.predict(rows.map(({ features }) => features));
      assert.deepEqual(
        answers.map(({ label }) => label),
        rows.map(({ label }) => label),
      );
      await predictor.close();
    };

    it('in Node: leaves a model that serves', async () => {
      const here = new URL('../../../', import.meta.url).href;
      writeFileSync(join(folder, 'train.ts'), nodeTraining.replaceAll('../goto3/', here));
      await learned(await train(['node', 'train.ts']));
    });

    it('in Python: leaves a model that serves', async function () {
      await needsPython(this, 'numpy, sklearn, skl2onnx', 'pip install scikit-learn skl2onnx');
      writeFileSync(join(folder, 'train.py'), pythonTraining);
      await learned(await train(['python3', 'train.py']));
    });
  });

  describe('evaluation program', () => {
    const rows = [5, 1, 4].map((width, i) => ({
      ...{ id: `r${i}`, time: '2026-01-01T00:00:00.000Z', label: '3', features: { width, height: 1 }, slices: [] },
    }));
    /** Answers with the width. */
    const writeWidthModel = async (): Promise<void> => {
      const graph = numericGraph(
        (g, input) => g.matMul(input, g.initializer('w', 'float32', [2, 1], new Float32Array([1, 0]))),
        { output: 'value', classes: 1 },
      );
      await writeModel(join(folder, 'model'), graph, {
        schema: 'goto3/signature/v1',
        task: 'regression',
        preprocessing: { kind: 'numeric', features: ['width', 'height'] },
        labels: [],
        output: 'value',
      });
    };
    const evaluate = async (argv: [string, ...string[]]): Promise<unknown[]> => {
      await writeWidthModel();
      for (const name of ['holdout', 'output']) mkdirSync(join(folder, name));
      writeFileSync(join(folder, 'holdout', 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      const [command, ...rest] = argv;
      await promisify(execFile)(command, rest, {
        cwd: folder,
        env: {
          ...hostEnvironment,
          SM_CHANNEL_MODEL: join(folder, 'model'),
          SM_CHANNEL_HOLDOUT: join(folder, 'holdout'),
          SM_OUTPUT_DATA_DIR: join(folder, 'output'),
          SM_HPS: '{"tooLow": "3"}',
        },
      });
      const text = readFileSync(join(folder, 'output', 'outcomes.jsonl'), 'utf8');
      return text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown);
    };
    const expected = [
      { id: 'r0', cost: 2 },
      { id: 'r1', cost: 6 },
      { id: 'r2', cost: 1 },
    ];

    it('in Node: gives every row its cost', async () => {
      const here = new URL('../../../', import.meta.url).href;
      writeFileSync(join(folder, 'evaluate.mts'), nodeEvaluation.replaceAll('../goto3/', here));
      const loader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
      assert.deepEqual(await evaluate([process.execPath, '--import', loader, 'evaluate.mts']), expected);
    });

    it('in Python: gives every row its cost', async function () {
      await needsPython(this, 'numpy, onnxruntime', 'pip install onnxruntime');
      writeFileSync(join(folder, 'evaluate.py'), pythonEvaluation);
      assert.deepEqual(await evaluate(['python3', 'evaluate.py']), expected);
    });
  });
});
