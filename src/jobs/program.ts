import { basename, isAbsolute, resolve } from 'node:path';

/** What stands behind the names in a program's argv on this machine. */
export interface ProgramTools {
  /** Absolute path of this Node. */
  node: string;
  /** `file:` URL of the loader for TypeScript; undefined when this Node strips types itself. */
  typeScriptLoader?: string;
  /** Absolute path of `nice`, where there is one. */
  nice?: string;
  /** Absolute path of util-linux `setpriv`, where it knows `--pdeathsig`: the program dies with its wrapper, so that it never runs unwatched. */
  setpriv?: string;
}

/** Node's options that take their value as the next argument (node --help). */
const optionsWithValue = new Set([
  '-r',
  '--require',
  '--import',
  '--loader',
  '--experimental-loader',
  '-C',
  '--conditions',
  '--env-file',
  '--title',
]);
/** With these there is no script: the code is in the next argument. */
const inlineCode = new Set(['-e', '--eval', '-p', '--print', '-pe']);

/**
 * The argv to execute: `node` is this Node, a TypeScript script gets the loader, a relative script or executable starts
 * from the working directory. Nothing is expanded or split: each element reaches the program as it stands.
 */
export function resolveProgram(
  program: readonly string[],
  workingDirectory: string,
  tools: Pick<ProgramTools, 'node' | 'typeScriptLoader'>,
): string[] {
  const [command, ...rest] = program as [string, ...string[]];
  if (command === 'node') return [tools.node, ...resolveNodeArguments(rest, workingDirectory, tools.typeScriptLoader)];
  return [command.includes('/') ? absolute(command, workingDirectory) : command, ...rest];
}

function resolveNodeArguments(argv: readonly string[], workingDirectory: string, loader: string | undefined): string[] {
  const at = scriptIndex(argv);
  const script = at === undefined ? undefined : argv[at];
  if (at === undefined || script === undefined) return [...argv];
  const resolved = [...argv.slice(0, at), absolute(script, workingDirectory), ...argv.slice(at + 1)];
  return loader !== undefined && /\.[cm]?tsx?$/.test(basename(script)) ? ['--import', loader, ...resolved] : resolved;
}

function scriptIndex(argv: readonly string[]): number | undefined {
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    if (inlineCode.has(argument)) return undefined;
    if (argument === '--') return i + 1;
    if (!argument.startsWith('-')) return i;
    if (optionsWithValue.has(argument)) i++;
  }
  return undefined;
}

const absolute = (path: string, workingDirectory: string): string =>
  isAbsolute(path) ? path : resolve(workingDirectory, path);

/**
 * Puts `setpriv` and `nice` before the program. They replace themselves by exec, so the pid stays the program's; set this
 * way, the priority holds from the first instruction on and for every thread, which `setpriority` from outside cannot do.
 */
export function withPriority(
  argv: readonly string[],
  nice: number,
  tools: Pick<ProgramTools, 'nice' | 'setpriv'>,
): string[] {
  return [
    ...(tools.setpriv === undefined ? [] : [tools.setpriv, '--pdeathsig', 'KILL', '--']),
    ...(nice === 0 || tools.nice === undefined ? [] : [tools.nice, '-n', String(nice)]),
    ...argv,
  ];
}
