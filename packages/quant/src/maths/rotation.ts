import { ArgumentError, Random, referenceBackend } from '@frugal/tensor-core';
import { qr } from '@frugal/tensor-core/linalg';

/**
 * A random orthogonal matrix whose entries are all of about the same size, row-major [size, size]: the Kronecker
 * product of Hadamard matrices, for any size that has them (576 = 12 · 12 · 4), times random signs per row. What is
 * left of the size beyond known Hadamard orders becomes a random orthogonal factor. Spreads outliers evenly over all
 * columns (QuaRot, Ashkboos et al. 2024, arXiv:2404.00456).
 */
export async function rotationMatrix(size: number, seed: number): Promise<Float32Array> {
  if (!(Number.isInteger(size) && size > 0)) {
    throw new ArgumentError({ where: 'rotationMatrix', what: 'not a size', got: String(size) });
  }
  const random = new Random(seed);
  const { hadamard, rest } = splitSize(size);
  let matrix: Matrix =
    rest > 1 ? await randomOrthogonal(rest, random) : { size: 1, values: Float64Array.of(1) };
  for (const order of hadamard) matrix = kronecker(matrix, normalizedHadamard(order));
  const draws = random.uniform([size], { backend: referenceBackend() });
  const signs = (await draws.toFloat32()).map((draw) => (draw < 0.5 ? -1 : 1));
  draws.dispose();
  return Float32Array.from(matrix.values, (value, i) => value * signs[Math.floor(i / size)]);
}

interface Matrix {
  readonly size: number;
  readonly values: Float64Array;
}

/** Orders of Paley's first construction below 100 that are no powers of two: q + 1 for primes q ≡ 3 mod 4. */
const PALEY_ORDERS = [84, 80, 72, 68, 60, 48, 44, 24, 20, 12] as const;

/** size as a product of Hadamard orders and an odd remainder that has none. */
export function splitSize(size: number): { readonly hadamard: readonly number[]; readonly rest: number } {
  let powers = 0;
  let rest = size;
  for (; rest % 2 === 0; rest /= 2) powers++;
  const hadamard: number[] = [];
  for (const order of PALEY_ORDERS) {
    const twos = Math.log2(order & -order);
    const odd = order / 2 ** twos;
    while (isPrime(order - 1) && rest % odd === 0 && powers >= twos) {
      hadamard.push(order);
      rest /= odd;
      powers -= twos;
    }
  }
  if (powers > 0) hadamard.push(2 ** powers);
  return { hadamard, rest };
}

function isPrime(n: number): boolean {
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;
  return n > 1;
}

/** H / √n: Sylvester's doubling for powers of two, else Paley's matrix of quadratic residues modulo n - 1. */
export function normalizedHadamard(order: number): Matrix {
  const values = new Float64Array(order * order);
  const scale = 1 / Math.sqrt(order);
  const entry = Number.isInteger(Math.log2(order)) ? sylvesterEntry : paleyEntry(order - 1);
  for (let r = 0; r < order; r++) for (let c = 0; c < order; c++) values[r * order + c] = entry(r, c) * scale;
  return { size: order, values };
}

function sylvesterEntry(r: number, c: number): number {
  let parity = 0;
  for (let bits = r & c; bits; bits &= bits - 1) parity ^= 1;
  return parity ? -1 : 1;
}

/** I + S, with S skew: first row +1, first column -1, and the Legendre symbol of r - c inside. */
function paleyEntry(q: number): (r: number, c: number) => number {
  const residues = new Set(Array.from({ length: q - 1 }, (_, i) => (i + 1) ** 2 % q));
  return (r, c) => {
    if (r === c || r === 0) return 1;
    if (c === 0) return -1;
    return residues.has((((r - c) % q) + q) % q) ? 1 : -1;
  };
}

async function randomOrthogonal(size: number, random: Random): Promise<Matrix> {
  const draws = random.normal([size, size], { backend: referenceBackend() });
  const { q } = qr(await draws.toFloat32(), size, size);
  draws.dispose();
  return { size, values: q };
}

function kronecker(a: Matrix, b: Matrix): Matrix {
  const size = a.size * b.size;
  const values = new Float64Array(size * size);
  for (let r = 0; r < size; r++) {
    const ar = Math.floor(r / b.size) * a.size;
    const br = (r % b.size) * b.size;
    for (let c = 0; c < size; c++)
      values[r * size + c] = a.values[ar + Math.floor(c / b.size)] * b.values[br + (c % b.size)];
  }
  return { size, values };
}
