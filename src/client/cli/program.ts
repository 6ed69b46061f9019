import type { Command } from 'commander';
import { programWith } from './bare-program.ts';
import { commandGroups } from './commands.ts';

/** The whole command line. */
export const createProgram = (): Command => programWith(commandGroups);
