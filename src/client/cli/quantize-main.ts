import { programWith } from './bare-program.ts';
import { registerQuantize } from './commands/quantize.ts';
import { runProgram } from './run-program.ts';

// `goto3 quantize` alone: what `bin/goto3` compiles for it, since it is over before all other commands are loaded.
await runProgram(programWith([registerQuantize]));
