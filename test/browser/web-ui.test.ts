import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { Browser, Page } from 'playwright-core';
import { ask } from '../../src/client/ask.ts';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { freePorts } from '../../src/stack/ports.ts';
import { retrainCycle } from '../../src/workflows/index.ts';
import { approveUpdate, cycleStatusQuery } from '../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { digestOf, Worlds } from '../workflows/world.ts';
import { chromiumPath, howToGetChromium, openBrowser } from './chromium.ts';

/** Where screenshots go when asked for: `GOTO3_SCREENSHOTS=docs npm run test:browser`. */
const screenshots = process.env.GOTO3_SCREENSHOTS;

describe(`an operator in the Temporal Web UI${chromiumPath ? '' : ` (skipped; prepare it with: ${howToGetChromium})`}`, () => {
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  let browser: Browser;
  let ui: string;
  const worlds = new Worlds();

  before(async function () {
    this.timeout(90_000);
    if (!chromiumPath) {
      assert.ok(!process.env.CI, `in CI chromium is required: ${howToGetChromium}`);
      this.skip();
    }
    const [uiPort] = await freePorts([undefined]);
    ui = `http://127.0.0.1:${uiPort}`;
    env = await startTemporal({}, { ui: true, uiPort: uiPort! });
    worlds.client = env.client;
    workers = await startWorkers(env, worlds.activities());
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    await workers?.stop();
    await env?.teardown();
  });

  /** For docs/operations.md: made by the test that has just read what is on it. */
  const keepPicture = async (page: Page, name: string): Promise<void> => {
    if (!screenshots) return;
    await mkdir(screenshots, { recursive: true });
    await page.screenshot({ path: `${screenshots}/${name}.png` });
  };

  const pageOf = async (workflowId: string, tab: string): Promise<Page> => {
    const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
    await page.goto(`${ui}/namespaces/default/workflows/${encodeURIComponent(workflowId)}`);
    await page.getByText(tab).first().click();
    return page;
  };

  it('reads there what a cycle waits for, how to unblock it, and which messages it takes', async () => {
    const world = worlds.of('spam-filter');
    world.cycle = {
      approval: { by: ['ann'], notBy: null, withinMs: 3_600_000, onTimeout: 'reject' },
      quantizeMargin: 0.01,
    };
    world.gate = { reasons: ['accuracy holds: 98.33 %, at least 96.73 % with 95 % confidence'] };
    const workflowId = workflowIds.cycle('spam-filter', 1);
    const handle = await env.client.workflow.start(retrainCycle, {
      workflowId,
      taskQueue: taskQueues.control,
      staticSummary: 'cycle 1 of spam-filter: 314 new rows',
      args: [
        {
          loop: 'spam-filter',
          n: 1,
          specDigest: digestOf('spec'),
          reason: '314 new rows',
          by: 'trigger',
          inconclusiveBefore: 0,
        },
      ],
    });
    await eventually('approval', async () => (await handle.query(cycleStatusQuery)).command !== null);
    const page = await pageOf(workflowId, 'User Metadata');
    // The UI shows markdown in a frame of its own.
    const details = page.frameLocator('iframe >> nth=1');
    await details.getByText('goto3 cycle approve spam-filter/1').waitFor();
    await page.frameLocator('iframe >> nth=0').getByText('cycle 1 of spam-filter: 314 new rows').waitFor();
    // Intervals stand in brackets and must not turn into links.
    assert.equal(await details.locator('a').count(), 0);
    await keepPicture(page, 'web-ui-approval');

    // The messages are offered there by name, each with what it wants.
    await page.getByRole('button', { name: 'More Actions' }).click();
    await page.getByRole('menu').getByText('Send an Update').first().click();
    const dialog = page.locator('dialog[open]');
    await dialog.getByTestId('update-select-button').click();
    await dialog.getByText('Let the candidate go to production: {requestId, reason, by}').waitFor();
    await keepPicture(page, 'web-ui-update');

    // Who waits for me: the query of docs/operations.md finds it among all that runs.
    const waiting = await browser.newPage({ viewport: { width: 1400, height: 500 } });
    const query = encodeURIComponent('Goto3Attention IS NOT NULL');
    await waiting.goto(`${ui}/namespaces/default/workflows?query=${query}`);
    await waiting.getByText(workflowId).first().waitFor();
    await keepPicture(waiting, 'web-ui-attention');
    await waiting.close();

    await ask(handle, approveUpdate, { requestId: 'r1', reason: 'looks right', by: 'ann' });
    const result = await handle.result();
    assert.equal(result.outcome, 'approved');
    assert.ok(world.calls.includes('registerVersion by ann (person)'));
    await page.reload();
    await page.getByText('Completed').first().waitFor();
    await page.close();
  }).timeout(90_000);
});
