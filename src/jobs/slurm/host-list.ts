/** `n[1-3,07],login` → n1, n2, n3, n07, login, as `scontrol show hostnames` has it; at most 10,000. Pure. */
export function hostsOf(list: string): string[] {
  const hosts = list
    .split(/,(?![^[]*\])/)
    .filter((part) => part !== '')
    .flatMap(expanded);
  return hosts.slice(0, 10_000);
}

function expanded(part: string): string[] {
  const [, before, ranges, after] = /^([^[\]]*)\[([\d,-]+)\](.*)$/.exec(part) ?? [];
  if (ranges === undefined) return [part];
  const numbers = ranges.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-') as [string, string?];
    const count = Math.min(10_000, Number(last) - Number(first) + 1);
    return Array.from({ length: Math.max(0, count) }, (_, i) => String(Number(first) + i).padStart(first.length, '0'));
  });
  return numbers.flatMap((number) => expanded(`${before}${number}${after}`));
}
