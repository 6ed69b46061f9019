'use strict';
const { reporters, Runner } = require('mocha');

const { EVENT_RUN_END, EVENT_TEST_RETRY } = Runner.constants;

/**
 * Mocha's `spec`; with `--retries` a list of the tests that passed only at a later try, because a flaky test is a bug that
 * must not hide; and a last line that programs can read: `N passed, N failed, N skipped`.
 */
module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const flaky = new Map();
    runner.on(EVENT_TEST_RETRY, (test, error) => flaky.set(test.fullTitle(), error?.message ?? 'unknown'));
    runner.once(EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats;
      for (const [title, message] of flaky) process.stdout.write(`flaky: ${title}: ${message.split('\n')[0]}\n`);
      process.stdout.write(`${passes} passed, ${failures} failed, ${pending} skipped\n`);
    });
  }
};
