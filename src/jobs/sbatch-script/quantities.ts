import { UnitError } from '../../contracts/units.ts';

/** Quantities as Slurm writes them (sbatch(1)); each throws a `UnitError` that says what was expected. */

const shown = (text: string): string => JSON.stringify(text.slice(0, 80));

/** `90` minutes, `90:30`, `1:30:00`, `2-0`, `2-12:30`, `2-12:30:15` → milliseconds. */
export function slurmTime(text: string): number {
  const refuse = new UnitError(
    `expected a time such as "90" (minutes), "1:30:00" or "2-12:00:00" with hours below 24 after days and minutes and seconds below 60, got ${shown(text)}`,
  );
  const [, days, rest] = /^(?:(\d{1,5})-)?([\d:]+)$/.exec(text) ?? [];
  if (rest === undefined) throw refuse;
  const fields = rest.split(':').map((field) => (/^\d{1,7}$/.test(field) ? Number(field) : Number.NaN));
  if (fields.length > 3 || fields.some(Number.isNaN)) throw refuse;
  const [a = 0, b = 0, c = 0] = fields;
  // Without days: minutes, minutes:seconds, hours:minutes:seconds. With days the first field is hours.
  const [hours, minutes, seconds] =
    days !== undefined || fields.length === 3 ? [a, b, c] : fields.length === 2 ? [0, a, b] : [0, a, 0];
  const first = days !== undefined || fields.length === 3 ? minutes < 60 : true;
  if (!first || seconds >= 60 || (days !== undefined && hours >= 24)) throw refuse;
  const ms = ((Number(days ?? 0) * 24 + hours) * 3_600 + minutes * 60 + seconds) * 1_000;
  if (ms === 0 || ms > 365 * 86_400_000)
    throw new UnitError(`expected a time above zero and up to 365 days, got ${shown(text)}`);
  return ms;
}

const unitBytes: Readonly<Record<string, number>> = { '': 2 ** 20, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `500` (MiB), `500M`, `4G` → bytes; the units are powers of 1,024. */
export function slurmMemory(text: string): number {
  const [, digits, unit] = /^(\d{1,9})([KMGT]?)$/.exec(text) ?? [];
  if (digits === undefined) throw new UnitError(`expected a size such as "500M" or "4G", got ${shown(text)}`);
  const bytes = Number(digits) * unitBytes[unit!]!;
  if (bytes === 0) throw new UnitError('expected a size above zero: "all of a node" has no number to plan with');
  if (bytes > 2 ** 50) throw new UnitError(`expected at most 1024T, got ${shown(text)}`);
  return bytes;
}

/** A whole number from `min` to `max`; `3-3` is 3. */
export function slurmCount(text: string, min: number, max: number): number {
  const [, first, last] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(text) ?? [];
  const number = Number(first);
  if (first === undefined || number < min || number > max || (last !== undefined && last !== first))
    throw new UnitError(`expected a whole number from ${min} to ${max}, got ${shown(text)}`);
  return number;
}

/** `gpu:2` → 2. */
export function slurmGpus(text: string): number {
  const [, count] = /^(?:gpu:)?(\d{1,4})$/.exec(text) ?? [];
  if (count === undefined)
    throw new UnitError(`expected "gpu:<number>", got ${shown(text)}; ask for a type by --constraint`);
  return slurmCount(count, 0, 64);
}

/** Letters, digits and `_.-`: nothing that Slurm or a shell would read otherwise. */
export function slurmWord(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(text))
    throw new UnitError(`expected letters, digits, "_", "." and "-", at most 64 characters, got ${shown(text)}`);
  return text;
}

/** A log path: below the working folder, with Slurm's patterns. */
export function slurmLogPath(text: string): string {
  const plain = text.replaceAll(/%\d{0,2}[AaJjNnstux%]/g, 'x');
  if (plain.includes('%'))
    throw new UnitError(`expected only the patterns %A %a %j %J %N %n %s %t %u %x, got ${shown(text)}`);
  if (!/^[A-Za-z0-9._=+@-][A-Za-z0-9._/=+@-]{0,511}$/.test(plain) || plain.split('/').includes('..'))
    throw new UnitError(`expected a path below the output folder, without "..", got ${shown(text)}`);
  return text;
}
