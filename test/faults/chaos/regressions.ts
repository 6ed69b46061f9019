import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A run that the checker found something in, or that did not come to rest. */
export interface Regression {
  seed: number;
  minutes: number;
  /** What went wrong, for whoever repairs it. */
  found: string;
}

const file = fileURLToPath(new URL('./regressions.json', import.meta.url));

export const readRegressions = (): Regression[] => JSON.parse(readFileSync(file, 'utf8')) as Regression[];

/** Kept in git by whoever ran it: CI runs every one of them again. */
export function keepRegression(regression: Regression): void {
  const others = readRegressions().filter(
    ({ seed, minutes }) => seed !== regression.seed || minutes !== regression.minutes,
  );
  writeFileSync(`${file}.writing`, `${JSON.stringify([...others, regression], undefined, 2)}\n`);
  renameSync(`${file}.writing`, file);
}
