/* One task of a Monte-Carlo price of a European call: sums of discounted payoffs, which a reducer adds up.
 * usage: simulate <task> <paths> <folder>    writes <folder>/result.txt */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "option.h"

/* xoshiro256** 1.0 (Blackman and Vigna, 2018, public domain), seeded by splitmix64 as its authors advise. */
static uint64_t state[4];

static uint64_t splitmix64(uint64_t *x) {
  uint64_t z = (*x += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static uint64_t next(void) {
  uint64_t result = rotl(state[1] * 5, 7) * 9, t = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= t;
  state[3] = rotl(state[3], 45);
  return result;
}

/* In (0, 1]: the logarithm below needs a number above zero. */
static double uniform(void) { return (double)((next() >> 11) + 1) * 0x1.0p-53; }

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: simulate <task> <paths> <folder>\n"), 2;
  uint64_t seed = 20261124u + strtoull(argv[1], NULL, 10) * 0x2545f4914f6cdd1du;
  long paths = strtol(argv[2], NULL, 10);
  if (paths < 2 || paths % 2) return fprintf(stderr, "paths: expected an even number above zero\n"), 2;
  for (int i = 0; i < 4; i++) state[i] = splitmix64(&seed);

  const double pi = acos(-1.0), drift = (RATE - VOLATILITY * VOLATILITY / 2) * YEARS;
  const double spread = VOLATILITY * sqrt(YEARS), discount = exp(-RATE * YEARS);
  double sum = 0, squares = 0;
  long tenth = paths / 10 > 2 ? paths / 10 / 2 * 2 : 2;
  for (long i = 0; i < paths; i += 2) {
    /* Box and Muller, 1958: two independent normal numbers from two uniform ones. */
    double r = sqrt(-2 * log(uniform())), angle = 2 * pi * uniform();
    double normal[2] = {r * cos(angle), r * sin(angle)};
    for (int k = 0; k < 2; k++) {
      double end = SPOT * exp(drift + spread * normal[k]);
      double payoff = end > STRIKE ? discount * (end - STRIKE) : 0;
      sum += payoff;
      squares += payoff * payoff;
    }
    if (i % tenth == 0) printf("{\"progress\": %.2f}\n", (double)i / (double)paths), fflush(stdout);
  }

  char path[4096];
  snprintf(path, sizeof path, "%s/result.txt", argv[3]);
  FILE *file = fopen(path, "w");
  if (!file) return perror(path), 1;
  fprintf(file, "%ld %.17g %.17g\n", paths, sum, squares);
  return fclose(file) ? (perror(path), 1) : 0;
}
