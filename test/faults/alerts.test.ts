import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { parse, stringify } from 'yaml';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import { findProgram } from '../../src/stack/programs.ts';
import { endpoint } from '../../src/workflows/index.ts';
import { StackProcess } from '../processes.ts';
import { eventually, startTemporal } from '../temporal.ts';

interface Rule {
  alert: string;
  expr: string;
  for?: string;
  labels: Record<string, string>;
  annotations: { summary: string; runbook: string };
}

const file = fileURLToPath(new URL('../../docs/alerts.yml', import.meta.url));
const { groups } = parse(readFileSync(file, 'utf8')) as { groups: { name: string; rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

/** `up` is Prometheus' own. */
const metricsOf = ({ expr }: Rule): string[] => [...expr.matchAll(/\b(?:temporal|goto3)_\w+/g)].map(([name]) => name);

describe('docs/alerts.yml', function () {
  this.timeout(90_000);

  it('has an alert for each thing, with who is woken, what it says, and where to read on', () => {
    assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
    for (const { alert, labels, annotations } of rules) {
      assert.match(alert, /^Goto3[A-Z]/);
      assert.ok(['page', 'ticket'].includes(labels.severity!), alert);
      assert.ok(annotations.summary && annotations.runbook, alert);
    }
  });

  describe('against real processes', () => {
    let temporal: TestWorkflowEnvironment;
    let home: string;
    const processes: StackProcess[] = [];
    before(async () => {
      temporal = await startTemporal();
      home = await mkdtemp(join(tmpdir(), 'goto3-alerts-'));
      const env = { GOTO3_HOME: home, TEMPORAL_ADDRESS: temporal.address };
      processes.push(new StackProcess('main.ts', ['--queue', 'control'], env));
      processes.push(new StackProcess('endpoint.ts', ['--endpoint', 'mail', '--port', '0'], env));
      await processes[0]!.healthy();
      await processes[1]!.started();
      // Some of what a worker exports is there after its first activity.
      await temporal.client.workflow.start(endpoint, {
        workflowId: workflowIds.endpoint('mail'),
        taskQueue: taskQueues.control,
        args: [{ endpoint: 'mail' }],
      });
    });
    after(async () => {
      for (const child of processes) await child.end('SIGKILL');
      await temporal?.teardown();
      await rm(home, { recursive: true, force: true });
    });

    it('names only metrics that a worker and an endpoint export', async () => {
      const exported = async (child: StackProcess): Promise<Set<string>> => {
        const text = await (await fetch(`${await child.healthUrl()}/metrics`)).text();
        const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
        return new Set(types.flatMap(([, name, type]) => (type === 'histogram' ? [name!, `${name}_bucket`] : [name!])));
      };
      const asked = (prefix: string) => rules.flatMap(metricsOf).filter((name) => name.startsWith(prefix));
      for (const [child, prefix] of [
        [processes[0]!, 'temporal_'],
        [processes[1]!, 'goto3_'],
      ] as const) {
        assert.ok(asked(prefix).length > 0);
        await eventually(
          `${prefix}* is exported`,
          async () => {
            const there = await exported(child);
            assert.deepEqual(
              asked(prefix).filter((name) => !there.has(name)),
              [],
            );
            return true;
          },
          30_000,
        );
      }
    });
  });

  describe('by promtool (apt-get install prometheus)', () => {
    const promtool = findProgram(readEnvironment().path, 'promtool');
    let folder: string;
    before(async function () {
      if (!promtool) this.skip();
      folder = await mkdtemp(join(tmpdir(), 'goto3-alerts-'));
    });
    after(async () => {
      if (folder) await rm(folder, { recursive: true, force: true });
    });
    const run = async (...argv: string[]) => await promisify(execFile)(promtool!, argv);

    it('is well formed', async () => {
      assert.match((await run('check', 'rules', file)).stdout, new RegExp(`SUCCESS: ${rules.length} rules found`));
    });

    it('fires when it has to, and not when all is well', async () => {
      const worker = 'job="workers",instance="a:9100"';
      const mail = 'job="endpoints",instance="b:9100",endpoint="mail"';
      const other = 'job="endpoints",instance="c:9100",endpoint="mail"';
      const series = (values: Record<string, string>) =>
        Object.entries(values).map(([name, samples]) => ({ series: name, values: samples }));
      const well = series({
        [`up{${worker}}`]: '1x30',
        [`up{${mail}}`]: '1x30',
        [`temporal_num_pollers{${worker}}`]: '5x30',
        [`temporal_worker_task_slots_available{${worker},worker_type="ActivityWorker"}`]: '1x30',
        [`goto3_endpoint_requests_total{${mail},shadow="false"}`]: '0+6000x30',
        [`goto3_endpoint_error_answers_total{${mail},status="500"}`]: '0+10x30',
        [`goto3_endpoint_error_answers_total{${mail},status="400"}`]: '0+6000x30',
        [`goto3_endpoint_queue_length{${mail},kind="caller"}`]: '3x30',
        [`goto3_endpoint_latency_seconds_bucket{${mail},le="0.25"}`]: '0+6000x30',
        [`goto3_endpoint_latency_seconds_bucket{${mail},le="+Inf"}`]: '0+6000x30',
        [`goto3_endpoint_inference_processes{${mail},event="crashes"}`]: '1x30',
        [`goto3_endpoint_captures{${mail},state="dropped"}`]: '2x30',
        [`goto3_endpoint_generation{${mail}}`]: '7x30',
        [`goto3_endpoint_generation{${other}}`]: '7x30',
        [`temporal_activity_schedule_to_start_latency_seconds_bucket{${worker},task_queue="control",le="5"}`]:
          '0+60x30',
        [`temporal_activity_schedule_to_start_latency_seconds_bucket{${worker},task_queue="control",le="+Inf"}`]:
          '0+60x30',
      });
      const ill = series({
        [`up{${worker}}`]: '0x30',
        [`up{${mail}}`]: '0x30',
        [`temporal_num_pollers{${worker}}`]: '0x30',
        [`temporal_worker_task_slots_available{${worker},worker_type="ActivityWorker"}`]: '0x30',
        [`goto3_endpoint_requests_total{${mail},shadow="false"}`]: '0+6000x30',
        [`goto3_endpoint_error_answers_total{${mail},status="500"}`]: '0+100x30',
        [`goto3_endpoint_queue_length{${mail},kind="caller"}`]: '300x30',
        [`goto3_endpoint_latency_seconds_bucket{${mail},le="0.25"}`]: '0+5000x30',
        [`goto3_endpoint_latency_seconds_bucket{${mail},le="0.5"}`]: '0+6000x30',
        [`goto3_endpoint_latency_seconds_bucket{${mail},le="+Inf"}`]: '0+6000x30',
        [`goto3_endpoint_inference_processes{${mail},event="crashes"}`]: '0+1x30',
        [`goto3_endpoint_captures{${mail},state="dropped"}`]: '0+10x30',
        [`goto3_endpoint_generation{${mail}}`]: '7x30',
        [`goto3_endpoint_generation{${other}}`]: '8x30',
        [`temporal_activity_schedule_to_start_latency_seconds_bucket{${worker},task_queue="control",le="5"}`]: '0+1x30',
        [`temporal_activity_schedule_to_start_latency_seconds_bucket{${worker},task_queue="control",le="10"}`]:
          '0+60x30',
        [`temporal_activity_schedule_to_start_latency_seconds_bucket{${worker},task_queue="control",le="+Inf"}`]:
          '0+60x30',
      });
      // As an expression on the alerts themselves: their labels and texts are the file's own.
      const firing = (value: number) =>
        rules.map(({ alert }) => ({
          expr: `count(count by (alertname) (ALERTS{alertname="${alert}",alertstate="firing"}))`,
          eval_time: '25m',
          exp_samples: value === 0 ? [] : [{ labels: '{}', value }],
        }));
      const tests = [
        { interval: '1m', input_series: well, promql_expr_test: firing(0) },
        { interval: '1m', input_series: ill, promql_expr_test: firing(1) },
      ];
      const testFile = join(folder, 'alerts.test.yml');
      await writeFile(testFile, stringify({ rule_files: [file], evaluation_interval: '1m', tests }));
      await run('test', 'rules', testFile).catch((error: Error & { stdout: string; stderr: string }) => {
        assert.fail(`${error.stdout}\n${error.stderr}`);
      });
    });
  });
});
