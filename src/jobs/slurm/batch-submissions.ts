import type { JobSpec } from '../../contracts/job.ts';
import type { SlurmTarget } from '../../contracts/slurm-target.ts';
import { allowedEnvironment } from '../container-contract.ts';
import type { JobFolder } from '../local/job-folder.ts';
import type { Launch, WrapperLimits } from '../local/launch.ts';
import { findTools } from '../local/tools.ts';
import { bundleWrapper } from '../local/wrapper-bundle.ts';
import { resolveSecrets, type SecretSource } from '../secrets.ts';
import { batchScript, launchVariable, wrapperVariable } from './batch-script.ts';
import { directivesOf } from './directives.ts';
import type { Submission } from './transport.ts';

export interface BatchSubmissionsOptions {
  target: SlurmTarget;
  secrets: SecretSource;
  /** The worker's own environment; of it, Slurm gets an allow-list. */
  hostEnvironment: Readonly<Record<string, string | undefined>>;
  limits: WrapperLimits;
}

/** What is handed to Slurm for a job: directives, a constant script, and an environment that tells the wrapper its job. */
export class BatchSubmissions {
  readonly #options: BatchSubmissionsOptions;
  #preparing: Promise<{ wrapper: string; tools: Launch['tools'] }> | undefined;

  constructor(options: BatchSubmissionsOptions) {
    this.#options = options;
  }

  /** Secrets are resolved here, as late as can be. */
  async of(folder: JobFolder, spec: JobSpec): Promise<Submission> {
    const { target, hostEnvironment, secrets, limits } = this.#options;
    const { wrapper, tools } = await this.#prepare();
    const launch: Omit<Launch, 'host'> = {
      folder: folder.path,
      tools,
      secrets: await resolveSecrets(spec.environment, secrets),
      limits,
    };
    const { HOME, USER, LOGNAME, LANG } = allowedEnvironment(hostEnvironment);
    const mine = target.transport.kind === 'cli' || target.transport.user === USER;
    return {
      directives: directivesOf(spec, target, folder, limits),
      script: batchScript(target.node ?? process.execPath),
      environment: {
        PATH: target.path,
        ...(mine && HOME !== undefined && { HOME }),
        ...(mine && USER !== undefined && { USER }),
        ...(mine && LOGNAME !== undefined && { LOGNAME }),
        ...(LANG !== undefined && { LANG }),
        [wrapperVariable]: wrapper,
        [launchVariable]: JSON.stringify(launch),
      },
    };
  }

  /** Once a process; a failure is not remembered. */
  #prepare() {
    const { target } = this.#options;
    this.#preparing ??= Promise.all([
      bundleWrapper(target.folder, new URL('./wrapper.ts', import.meta.url)),
      findTools({ PATH: target.path }),
    ])
      .then(([wrapper, tools]) => ({ wrapper, tools }))
      .catch((error: unknown) => {
        this.#preparing = undefined;
        throw error;
      });
    return this.#preparing;
  }
}
