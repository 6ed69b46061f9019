/**
 * Γ, incomplete Γ and incomplete Β in double precision. Written from the formulas of the NIST Digital Library of
 * Mathematical Functions (dlmf.nist.gov); the binomial kernel is C. Loader's saddle-point form ("Fast and accurate
 * computation of binomial probabilities", 2000), which keeps full precision where differences of ln Γ lose it.
 */
const halfLogTwoPi = 0.5 * Math.log(2 * Math.PI);
const epsilon = 2 ** -53;
const tiny = 1e-300;

/** Terms B₂ₖ / (2k(2k−1)) of Stirling's series (DLMF 5.11.1). */
const stirling = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400];

/** ln Γ(x+1) − ln(√(2πx) (x/e)^x), for x > 0: what Stirling's formula leaves out. */
function stirlingError(x: number): number {
  // Below 16 the series stops short of double precision: step up by Γ(x+1) = xΓ(x), whose terms are small there.
  if (x < 16) {
    const next = x + 1;
    return stirlingError(next) + ((x + 0.5) * Math.log1p(1 / x) - 1);
  }
  const inverse = 1 / x;
  const square = inverse * inverse;
  let sum = 0;
  for (let k = stirling.length - 1; k >= 0; k--) sum = sum * square + stirling[k]!;
  return sum * inverse;
}

/** ln Γ(x) for x > 0. */
export function lnGamma(x: number): number {
  if (x === 1 || x === 2) return 0;
  return halfLogTwoPi + (x - 0.5) * Math.log(x) - x + stirlingError(x);
}

/** ln Β(a, b) for a, b > 0. */
export function lnBeta(a: number, b: number): number {
  const n = a + b;
  return (
    halfLogTwoPi +
    0.5 * Math.log(n / (a * b)) -
    a * Math.log1p(b / a) -
    b * Math.log1p(a / b) +
    stirlingError(a) +
    stirlingError(b) -
    stirlingError(n)
  );
}

/** x ln(x/m) + m − x without cancellation near x = m (Loader's "deviance part"). */
function devianceTerm(x: number, m: number): number {
  if (x === 0) return m;
  const v = (x - m) / (x + m);
  if (Math.abs(v) >= 0.1) return x * Math.log(x / m) + m - x;
  let sum = (x - m) * v;
  let power = 2 * x * v;
  for (let j = 3; ; j += 2) {
    power *= v * v;
    const next = sum + power / j;
    if (next === sum) return sum;
    sum = next;
  }
}

/** Γ(n+1) / (Γ(k+1) Γ(n−k+1)) p^k (1−p)^(n−k) for real 0 ≤ k ≤ n: the binomial probability when k and n are whole. */
export function binomialKernel(k: number, n: number, p: number): number {
  const rest = n - k;
  if (p <= 0) return k === 0 ? 1 : 0;
  if (p >= 1) return rest === 0 ? 1 : 0;
  if (k === 0) return Math.exp(n * Math.log1p(-p));
  if (rest === 0) return Math.exp(n * Math.log(p));
  const log =
    stirlingError(n) -
    stirlingError(k) -
    stirlingError(rest) -
    devianceTerm(k, n * p) -
    devianceTerm(rest, n * (1 - p)) -
    halfLogTwoPi +
    0.5 * Math.log(n / (k * rest));
  return Math.exp(log);
}

/** Regularised incomplete Β: I_x(a, b), for a, b > 0. Continued fraction DLMF 8.17.22 by Lentz's method. */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (Number.isNaN(x)) return Number.NaN;
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBetaTail(1 - x, b, a);
  return incompleteBetaTail(x, a, b);
}

/** 1 − I_x(a, b) without the cancellation of writing it so. */
export function incompleteBetaComplement(x: number, a: number, b: number): number {
  if (Number.isNaN(x)) return Number.NaN;
  if (x <= 0) return 1;
  if (x >= 1) return 0;
  if (x > (a + 1) / (a + b + 2)) return incompleteBetaTail(1 - x, b, a);
  return 1 - incompleteBetaTail(x, a, b);
}

/** I_x(a, b) for x ≤ (a+1)/(a+b+2), where the fraction converges fast. */
function incompleteBetaTail(x: number, a: number, b: number): number {
  // x^a y^b / (a Β(a,b)) = binomialKernel(a; a+b, x) · b/(a+b)
  const front = (binomialKernel(a, a + b, x) * b) / (a + b);
  if (front === 0) return 0;
  let c = 1;
  let d = 1 - ((a + b) * x) / (a + 1);
  d = 1 / (Math.abs(d) < tiny ? tiny : d);
  let fraction = d;
  for (let m = 1; m < 100_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 + even * d;
    c = 1 + even / c;
    d = 1 / (Math.abs(d) < tiny ? tiny : d);
    if (Math.abs(c) < tiny) c = tiny;
    fraction *= c * d;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 + odd * d;
    c = 1 + odd / c;
    d = 1 / (Math.abs(d) < tiny ? tiny : d);
    if (Math.abs(c) < tiny) c = tiny;
    const change = c * d;
    fraction *= change;
    if (Math.abs(change - 1) < 4 * epsilon) break;
  }
  return Math.min(1, front * fraction);
}

/** Q(a, x) = Γ(a, x) / Γ(a), the upper regularised incomplete Γ, for a > 0 and x ≥ 0 (DLMF 8.11.4 and 8.9.2). */
export function incompleteGammaUpper(a: number, x: number): number {
  if (Number.isNaN(x)) return Number.NaN;
  if (x <= 0) return 1;
  if (x === Number.POSITIVE_INFINITY) return 0;
  const front = Math.exp(a * Math.log(x) - x - lnGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = a + 1; term > sum * epsilon; n++) {
      term *= x / n;
      sum += term;
    }
    return 1 - front * sum;
  }
  let b = x + 1 - a;
  let c = 1 / tiny;
  let d = 1 / b;
  let fraction = d;
  for (let i = 1; i < 100_000; i++) {
    const an = -i * (i - a);
    b += 2;
    d = an * d + b;
    d = 1 / (Math.abs(d) < tiny ? tiny : d);
    c = b + an / c;
    if (Math.abs(c) < tiny) c = tiny;
    const change = d * c;
    fraction *= change;
    if (Math.abs(change - 1) < 4 * epsilon) break;
  }
  return front * fraction;
}
