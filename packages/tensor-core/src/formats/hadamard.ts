/** A square matrix, row-major [size, size]. */
export interface SquareMatrix {
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
export function normalizedHadamard(order: number): SquareMatrix {
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

/** The Kronecker product a ⊗ b. */
export function kronecker(a: SquareMatrix, b: SquareMatrix): SquareMatrix {
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

/** A size as blocks · outer · inner, where outer and inner have Hadamard matrices and are as equal as can be. */
export interface HadamardBlocks {
  readonly blocks: number;
  readonly outer: number;
  readonly inner: number;
}

/** How {@link hadamardRows} divides rows of this length: what has no Hadamard order stays apart as blocks. */
export function hadamardBlocks(size: number): HadamardBlocks {
  const hasMatrix = (order: number) => splitSize(order).rest === 1;
  const { rest: blocks } = splitSize(size);
  const length = size / blocks;
  let best = { blocks, outer: 1, inner: length };
  for (let outer = 2; outer < length; outer++) {
    if (length % outer !== 0 || !hasMatrix(outer) || !hasMatrix(length / outer)) continue;
    const inner = length / outer;
    if (outer + inner < best.outer + best.inner) best = { blocks, outer, inner };
  }
  return best;
}

const matrices = new Map<number, Float64Array>();

/** The normalised Hadamard matrix of an order that has one, row-major: H Hᵀ = I. */
export function hadamardMatrix(order: number): Float64Array {
  const known = matrices.get(order);
  if (known) return known;
  const one: SquareMatrix = { size: 1, values: Float64Array.of(1) };
  const { values } = splitSize(order).hadamard.map(normalizedHadamard).reduce(kronecker, one);
  matrices.set(order, values);
  return values;
}

/**
 * Turns rows of `columns` values, row-major, by one orthogonal matrix: each block X [outer, inner] of a row becomes
 * (A X B)ᵀ with Hadamard matrices A and B, which spreads one large value over all places of the block at
 * outer + inner operations for each value. `back`: the inverse.
 */
export function hadamardRows(values: Float32Array, columns: number, back = false): Float32Array {
  const { outer, inner } = hadamardBlocks(columns);
  const [left, right] = [hadamardMatrix(outer), hadamardMatrix(inner)];
  const turned = new Float32Array(values.length);
  const block = new Float64Array(outer * inner);
  for (let start = 0; start < values.length; start += outer * inner) {
    const from = values.subarray(start, start + outer * inner);
    const to = turned.subarray(start, start + outer * inner);
    if (back) {
      for (let j = 0; j < inner; j++)
        for (let i = 0; i < outer; i++) {
          let sum = 0;
          for (let k = 0; k < outer; k++) sum += from[j * outer + k] * left[k * outer + i];
          block[i * inner + j] = sum;
        }
      for (let i = 0; i < outer; i++)
        for (let j = 0; j < inner; j++) {
          let sum = 0;
          for (let k = 0; k < inner; k++) sum += block[i * inner + k] * right[j * inner + k];
          to[i * inner + j] = sum;
        }
      continue;
    }
    for (let i = 0; i < outer; i++)
      for (let j = 0; j < inner; j++) {
        let sum = 0;
        for (let k = 0; k < inner; k++) sum += from[i * inner + k] * right[k * inner + j];
        block[i * inner + j] = sum;
      }
    for (let j = 0; j < inner; j++)
      for (let i = 0; i < outer; i++) {
        let sum = 0;
        for (let k = 0; k < outer; k++) sum += left[i * outer + k] * block[k * inner + j];
        to[j * outer + i] = sum;
      }
  }
  return turned;
}
