/** Name of the variable that carries the wrapper's `Launch`: Slurm keeps a job's environment for its user and itself. */
export const launchVariable = 'GOTO3_LAUNCH';
/** Absolute path of the bundled wrapper, on the shared folder. */
export const wrapperVariable = 'GOTO3_WRAPPER';

/**
 * The batch script: run by Node itself, so no shell reads anything, and nothing of the job is in its text. Slurm stores it
 * as `slurm_script`, without an ending, so it is CommonJS. @param node absolute path that passed the target's allow-list
 */
export const batchScript = (node: string): string =>
  `#!${node}\nimport(require('node:url').pathToFileURL(process.env.${wrapperVariable}).href);\n`;
