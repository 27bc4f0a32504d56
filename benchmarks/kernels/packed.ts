import { PackedTensor, Random } from '@frugal/tensor-core';
import { type PartArray, packedFormat } from '@frugal/tensor-core/formats';
import type { KernelCase, KernelFamily } from './case.js';

/** Matrices of SmolLM2-135M: attention, down, gate and up, head. */
const shapes = [
  [576, 576],
  [576, 1536],
  [1536, 576],
  [49152, 576],
] as const;

/** Formats whose one part is blocks of bytes. */
const ggml = ['q4_1', 'q4_0', 'q8_0', 'q5_0', 'q4_k', 'q6_k'];

/** Weights in turn are more than the caches hold, as in a model whose other layers come between. */
const SET_BYTES = 512 * 2 ** 20;

interface Product {
  readonly format: string;
  readonly rows: number;
  readonly columns: number;
  readonly M: number;
  readonly threads: number;
}

const made = new Map<string, readonly PartArray[]>();

/** The parts of a matrix, made once. */
function partsOf(format: string, rows: number, columns: number): readonly PartArray[] {
  const key = `${format} ${rows} ${columns}`;
  const parts = made.get(key) ?? makeParts(format, rows, columns);
  made.set(key, parts);
  return parts;
}

/** A matrix whose 64 rows repeat, since packing takes long; blocks of ggml are bytes one after the other. */
function makeParts(format: string, rows: number, columns: number): readonly PartArray[] {
  const values = Float32Array.from({ length: 64 * columns }, (_, i) => Math.sin(i * i) / 20);
  if (!ggml.includes(format)) {
    // A third of them zeros, for bitmaps.
    const all = Float32Array.from({ length: rows * columns }, (_, i) =>
      i % 3 === 1 ? 0 : values[i % values.length],
    );
    return packedFormat(format).pack(all, rows, columns);
  }
  const [tile] = packedFormat(format).pack(values, 64, columns) as [Uint8Array];
  const blocks = new Uint8Array((tile.length / 64) * rows);
  for (let at = 0; at < blocks.length; at += tile.length)
    blocks.set(tile.subarray(0, Math.min(tile.length, blocks.length - at)), at);
  return [blocks];
}

/** x [M, columns] times a prepared weight, activations as the format recommends. */
function product({ format, rows, columns, M, threads }: Product): KernelCase {
  const bytesOf = () => partsOf(format, rows, columns).reduce((sum, { byteLength }) => sum + byteLength, 0);
  return {
    name: `packed ${format} ${M} × ${columns} × ${rows}`,
    threads,
    operations: M > 16 ? 2 * M * rows * columns : 0,
    get bytes() {
      return bytesOf();
    },
    bound: M <= 16 ? 'read' : ggml.includes(format) ? 'int8' : 'f32',
    prepare: (backend) => {
      const parts = partsOf(format, rows, columns);
      const copies = M > 16 ? 1 : Math.ceil(SET_BYTES / bytesOf());
      const weights = Array.from({ length: copies }, () =>
        PackedTensor.fromParts(format, [rows, columns], parts, backend).prepare(),
      );
      const x = new Random(1).normal([M, columns], { backend });
      let next = 0;
      return {
        inputs: [x, ...weights],
        run: () => {
          const weight = weights[next++ % copies];
          weight.matmul(x, weight.recommendedActivation);
        },
      };
    },
    peers: [],
  };
}

/** Formats that multiply rows of f32. Packing a head takes too long. */
const floats = ['nf4', 'fp8-block128', '2:4', '2:4-int8', 'bitmap'];

export const packedFamily: KernelFamily = {
  name: 'packed',
  cases: [1, 2].flatMap((threads) =>
    [...ggml, ...floats].flatMap((format) =>
      shapes.slice(0, ggml.includes(format) ? shapes.length : 3).flatMap(([rows, columns]) => {
        // Super-blocks of 256 do not divide 576.
        const width = format.endsWith('_k') ? Math.ceil(columns / 256) * 256 : columns;
        return [1, 8, 512].map((M) => product({ format, rows, columns: width, M, threads }));
      }),
    ),
  ),
};
