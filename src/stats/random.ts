/** A stream of random numbers that its seed determines. */
export interface Random {
  /** Whole number in [0, 2³²). */
  uint32(): number;
  /** In [0, 1), 53 bits. */
  uniform(): number;
}

/**
 * xoshiro128** 1.1 by D. Blackman and S. Vigna (prng.di.unimi.it, public domain), its state filled from the seed by
 * SplitMix32, as its authors advise. Not for secrets.
 */
export function createRandom(seed: number): Random {
  let splitmix = seed >>> 0;
  const next = () => {
    splitmix = (splitmix + 0x9e3779b9) >>> 0;
    let z = splitmix;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  return randomFromState([next(), next(), next(), next()]);
}

/** The bare generator, for its published test vectors. The state must not be all zero. */
export function randomFromState(state: readonly [number, number, number, number]): Random {
  let [s0, s1, s2, s3] = state;
  const uint32 = () => {
    const product = Math.imul(s1, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const t = s1 << 9;
    s2 ^= s0;
    s3 ^= s1;
    s1 ^= s2;
    s0 ^= s3;
    s2 ^= t;
    s3 = (s3 << 11) | (s3 >>> 21);
    return result;
  };
  return { uint32, uniform: () => ((uint32() >>> 5) * 0x4000000 + (uint32() >>> 6)) * 2 ** -53 };
}
