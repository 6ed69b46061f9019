import { fileURLToPath } from 'node:url';

/** The one place of this example that reads the environment. */
export interface MailEnvironment {
  /** `MAIL_CLOCK`: the file that holds the data's clock; see clock.ts. */
  clockFile: string | undefined;
  /** `MAIL_CACHE`: folder for the parsed corpus. */
  cacheFolder: string;
}

const defaultCache = fileURLToPath(new URL('../../.goto3/cache/spam-filter', import.meta.url));

export const mailEnvironment = (env: NodeJS.ProcessEnv = process.env): MailEnvironment => ({
  clockFile: env.MAIL_CLOCK || undefined,
  cacheFolder: env.MAIL_CACHE || defaultCache,
});
