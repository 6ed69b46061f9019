/**
 * Seeded random numbers in [0, 1), 32 bits each: Mulberry32 (T. Ettinger, public domain). A stream is named by numbers
 * (`randomStream(seed, epoch)`), so any step of a training can be repeated without those before it.
 */
export function randomStream(...names: readonly number[]): () => number {
  let state = names.reduce((hash, name) => scramble(Math.imul(hash, 31) + name), 0x9e3779b9);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    return (scramble(state) >>> 0) / 2 ** 32;
  };
}

function scramble(value: number): number {
  let t = Math.imul(value ^ (value >>> 15), value | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return t ^ (t >>> 14);
}

/** 0 … count − 1 in random order (Fisher-Yates). */
export function shuffled(count: number, random: () => number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
