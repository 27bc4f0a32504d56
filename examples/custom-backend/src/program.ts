import wabt from 'wabt';

/** Arithmetic that the instruction set has for four f32 numbers at once, by op. */
const binary = { add: 'add', sub: 'sub', mul: 'mul', div: 'div' } as const;
const unary = { neg: 'neg', abs: 'abs', sqrt: 'sqrt', floor: 'floor' } as const;

/** Rows of a product that share each loaded row of the right matrix. */
export const TILE_ROWS = 4;
/** Vectors of four columns that a tile has. */
const TILE_VECTORS = 2;
const VECTOR_BYTES = 16;

export type VectorBinary = keyof typeof binary;
export type VectorUnary = keyof typeof unary;
/** Whether an operand is an array, or one number that meets every element of the other. */
export type OperandKind = 'array' | 'number';

type BinaryName =
  | `${VectorBinary}_array_array`
  | `${VectorBinary}_array_number`
  | `${VectorBinary}_number_array`;
type ProductName = 'product_1' | `product_${typeof TILE_ROWS}`;

/** What the module exports. Arguments are addresses in bytes, and counts of elements. */
export type Program = {
  readonly [N in BinaryName]: (a: number, b: number, out: number, count: number) => void;
} & {
  readonly [N in VectorUnary]: (x: number, out: number, count: number) => void;
} & {
  /** Some rows of out [rows, N] = a [rows, K] · b [K, N], all row-major; each sum runs over k in order, in f32. */
  readonly [N in ProductName]: (a: number, b: number, out: number, K: number, N: number) => void;
};

const get = (name: string) => `(local.get $${name})`;
const advance = (name: string, by: string | number) =>
  `(local.set $${name} (i32.add ${get(name)} ${typeof by === 'number' ? `(i32.const ${by})` : by}))`;

/** A loop that ends as soon as `stop` is true. */
function loopUntil(name: string, stop: string, body: string): string {
  return `(block $end_${name} (loop $${name} (br_if $end_${name} ${stop}) ${body} (br $${name})))`;
}

/** out[i] = compute(operands[i]): four at a time, then one by one. */
function elementwise(
  name: string,
  instruction: string,
  kinds: Readonly<Record<string, OperandKind>>,
): string {
  const operands = Object.entries(kinds);
  const step = (vector: boolean) => {
    const loads = operands.map(([operand, kind]) => {
      if (!vector) return `(f32.load ${get(operand)})`;
      return `(${kind === 'array' ? 'v128.load' : 'v128.load32_splat'} ${get(operand)})`;
    });
    const width = vector ? VECTOR_BYTES : 4;
    const moving = [...operands.filter(([, kind]) => kind === 'array').map(([operand]) => operand), 'out'];
    return `(${vector ? 'v128' : 'f32'}.store ${get('out')} (${vector ? 'f32x4' : 'f32'}.${instruction} ${loads.join(' ')}))
      ${moving.map((operand) => advance(operand, width)).join(' ')}`;
  };
  return `(func (export "${name}") ${operands.map(([operand]) => `(param $${operand} i32)`).join(' ')}
      (param $out i32) (param $count i32) (local $last i32)
    (local.set $last (i32.add ${get('out')} (i32.shl ${get('count')} (i32.const 2))))
    ${loopUntil('vectors', `(i32.gt_u (i32.add ${get('out')} (i32.const ${VECTOR_BYTES})) ${get('last')})`, step(true))}
    ${loopUntil('rest', `(i32.ge_u ${get('out')} ${get('last')})`, step(false))})`;
}

/** The sums of one tile, over all of K: `vectors` × 4 columns, or a single column when that is 0. */
function tile(rows: readonly number[], vectors: number): string {
  const columns = Array.from({ length: Math.max(1, vectors) }, (_, v) => v);
  const type = vectors > 0 ? { is: 'v128', math: 'f32x4', splat: 'v128.load32_splat' } : null;
  const sum = (r: number, v: number) => (type ? `sum_${r}_${v}` : `number_${r}`);
  const right = (v: number) => (type ? `right_${v}` : 'right');
  const [is, math, splat] = type ? [type.is, type.math, type.splat] : ['f32', 'f32', 'f32.load'];
  const zero = type ? '(v128.const i32x4 0 0 0 0)' : '(f32.const 0)';
  const cells = rows.flatMap((r) => columns.map((v) => [r, v] as const));
  return `
    ${cells.map(([r, v]) => `(local.set $${sum(r, v)} ${zero})`).join(' ')}
    ${rows.map((r) => `(local.set $a_${r} (i32.add ${get('a')} (i32.mul (i32.const ${r}) ${get('aWidth')})))`).join(' ')}
    (local.set $from (i32.add ${get('b')} ${get('column')}))
    (local.set $k ${get('K')})
    ${loopUntil(
      `depth_${vectors}`,
      `(i32.eqz ${get('k')})`,
      `${columns.map((v) => `(local.set $${right(v)} (${is}.load offset=${VECTOR_BYTES * v} ${get('from')}))`).join(' ')}
       ${cells.map(([r, v]) => `(local.set $${sum(r, v)} (${math}.add ${get(sum(r, v))} (${math}.mul (${splat} ${get(`a_${r}`)}) ${get(right(v))})))`).join(' ')}
       ${rows.map((r) => advance(`a_${r}`, 4)).join(' ')}
       ${advance('from', get('bWidth'))} ${advance('k', -1)}`,
    )}
    ${rows
      .map((r) => {
        const to = `(i32.add (i32.add ${get('out')} ${get('column')}) (i32.mul (i32.const ${r}) ${get('bWidth')}))`;
        return columns
          .map((v) => `(${is}.store offset=${VECTOR_BYTES * v} ${to} ${get(sum(r, v))})`)
          .join(' ');
      })
      .join(' ')}
    ${advance('column', type ? VECTOR_BYTES * vectors : 4)}`;
}

function product(count: number): string {
  const rows = Array.from({ length: count }, (_, r) => r);
  const vectors = Array.from({ length: TILE_VECTORS }, (_, v) => v);
  const locals = [
    ...['column', 'k', 'from', 'aWidth', 'bWidth', ...rows.map((r) => `a_${r}`)].map((name) => [name, 'i32']),
    ...rows.flatMap((r) => vectors.map((v) => [`sum_${r}_${v}`, 'v128'])),
    ...vectors.map((v) => [`right_${v}`, 'v128']),
    ...['right', ...rows.map((r) => `number_${r}`)].map((name) => [name, 'f32']),
  ];
  const whole = `(i32.gt_u (i32.add ${get('column')} (i32.const ${VECTOR_BYTES * TILE_VECTORS})) ${get('bWidth')})`;
  return `(func (export "product_${count}") (param $a i32) (param $b i32) (param $out i32) (param $K i32) (param $N i32)
    ${locals.map(([name, type]) => `(local $${name} ${type})`).join(' ')}
    (local.set $aWidth (i32.shl ${get('K')} (i32.const 2)))
    (local.set $bWidth (i32.shl ${get('N')} (i32.const 2)))
    ${loopUntil('tiles', whole, tile(rows, TILE_VECTORS))}
    ${loopUntil('columns', `(i32.ge_u ${get('column')} ${get('bWidth')})`, tile(rows, 0))})`;
}

/** The whole module in WebAssembly's text format; its memory comes from outside. */
function moduleText(): string {
  const kinds: readonly (readonly [OperandKind, OperandKind])[] = [
    ['array', 'array'],
    ['array', 'number'],
    ['number', 'array'],
  ];
  const functions = [
    ...Object.entries(binary).flatMap(([op, instruction]) =>
      kinds.map(([a, b]) => elementwise(`${op}_${a}_${b}`, instruction, { a, b })),
    ),
    ...Object.entries(unary).map(([op, instruction]) => elementwise(op, instruction, { x: 'array' })),
    ...[1, TILE_ROWS].map(product),
  ];
  return `(module (import "heap" "memory" (memory 1))\n${functions.join('\n')})`;
}

/** Assembles the kernels and binds them to a memory. */
export async function loadProgram(memory: WebAssembly.Memory): Promise<Program> {
  const { parseWat } = await wabt();
  const parsed = parseWat('kernels.wat', moduleText(), { simd: true });
  const { buffer } = parsed.toBinary({});
  parsed.destroy();
  const { instance } = await WebAssembly.instantiate(Uint8Array.from(buffer), { heap: { memory } });
  return instance.exports as unknown as Program;
}
