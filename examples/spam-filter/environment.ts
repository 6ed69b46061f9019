import { fileURLToPath } from 'node:url';

/** The one place of this example that reads the environment. */
export interface MailEnvironment {
  /** `MAIL_CLOCK`: the file that holds the data's clock; see clock.ts. */
  clockFile: string | undefined;
  /** `MAIL_POISON`: the file that says whose labels are swapped; see poison.ts. */
  poisonFile: string | undefined;
  /** `MAIL_SLOW_CANDIDATE`: while this file is there, trained models are slow; see incident/train.ts. */
  slowCandidateFile: string | undefined;
  /** `SM_MODEL_DIR`: where a training program leaves its model. */
  modelFolder: string | undefined;
  /** `MAIL_CACHE`: folder for the parsed corpus. */
  cacheFolder: string;
}

const defaultCache = fileURLToPath(new URL('../../.goto3/cache/spam-filter', import.meta.url));

export const mailEnvironment = (env: NodeJS.ProcessEnv = process.env): MailEnvironment => ({
  clockFile: env.MAIL_CLOCK || undefined,
  poisonFile: env.MAIL_POISON || undefined,
  slowCandidateFile: env.MAIL_SLOW_CANDIDATE || undefined,
  modelFolder: env.SM_MODEL_DIR || undefined,
  cacheFolder: env.MAIL_CACHE || defaultCache,
});
