import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { readProcess } from '../../src/jobs/local/processes.ts';
import { eventually } from '../temporal.ts';

const parent = `
  const { forkProgram } = await import(${JSON.stringify(new URL('../../src/serving/program.ts', import.meta.url).href)});
  const program = new URL(process.argv[1]);
  const child = forkProgram(program, ${JSON.stringify(tmpdir())});
  process.stdout.write(child.pid + '\\n');
  setInterval(() => {}, 1000);
`;

describe('processes that the endpoint and the evaluator start', () => {
  for (const program of [
    'serving/endpoint/inference/inference-process.ts',
    'serving/scoring/scoring-process.ts',
    'activities/quantize-process.ts',
    'activities/evaluate/latency-process.ts',
  ])
    it(`${program} ends with a parent that is killed before it has loaded`, async () => {
      const url = new URL(`../../src/${program}`, import.meta.url).href;
      const killed = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', parent, url], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = (await once(createInterface({ input: killed.stdout }), 'line')) as [string];
      const pid = Number(line);
      assert.ok(readProcess(pid), 'the child was started');
      killed.kill('SIGKILL');
      await eventually('the child is gone', async () => readProcess(pid)?.zombie !== false, 30_000);
    });
});
