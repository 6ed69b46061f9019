import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Debian's chromium; elsewhere GOTO3_CHROMIUM names one. */
export const chromiumPath = [
  process.env.GOTO3_CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path && existsSync(path));
export const howToGetChromium = 'apt-get install chromium';

export const openBrowser = async (): Promise<Browser> =>
  await chromium.launch({
    executablePath: chromiumPath!,
    // Root has no sandbox, and nothing but our own pages is ever asked.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
