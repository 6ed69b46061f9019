import { TestWorkflowEnvironment } from '@temporalio/testing';

// A process of its own (temporal-cli-sources.ts starts it): the SDK downloads only in order to start a server, and a
// download that hangs cannot be cancelled but by ending the process.
// Usage: node --import tsx temporal-download.ts <folder> <version>
const [downloadDir, version] = process.argv.slice(2) as [string, string];
try {
  const environment = await TestWorkflowEnvironment.createLocal({
    server: { executable: { type: 'cached-download', downloadDir, version } },
  });
  await environment.teardown();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
