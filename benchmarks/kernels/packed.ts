import { fromBytes, PackedTensor, Random } from '@frugal/tensor-core';
import { packedFormat } from '@frugal/tensor-core/formats';
import type { KernelCase, KernelFamily } from './case.js';

/** Matrices of SmolLM2-135M: attention, down, gate and up, head. */
const shapes = [
  [576, 576],
  [576, 1536],
  [1536, 576],
  [49152, 576],
] as const;

/** Weights in turn are more than the caches hold, as in a model whose other layers come between. */
const SET_BYTES = 512 * 2 ** 20;

interface Product {
  readonly format: string;
  readonly rows: number;
  readonly columns: number;
  readonly M: number;
  readonly threads: number;
}

/** x [M, columns] times a prepared weight, activations as the format recommends. */
function product({ format, rows, columns, M, threads }: Product): KernelCase {
  const bytes = packedFormat(format)
    .parts(rows, columns)
    .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
  return {
    name: `packed ${format} ${M} × ${columns} × ${rows}`,
    threads,
    operations: M > 16 ? 2 * M * rows * columns : 0,
    bytes,
    bound: M > 16 ? 'int8' : 'read',
    prepare: (backend) => {
      const values = Float32Array.from({ length: 64 * columns }, (_, i) => Math.sin(i * i) / 20);
      const [tile] = packedFormat(format).pack(values, 64, columns);
      const tileBytes = new Uint8Array(tile.buffer, tile.byteOffset, tile.byteLength);
      const blocks = new Uint8Array(bytes);
      for (let at = 0; at < bytes; at += tileBytes.length)
        blocks.set(tileBytes.subarray(0, Math.min(tileBytes.length, bytes - at)), at);
      const copies = M > 16 ? 1 : Math.ceil(SET_BYTES / bytes);
      const weights = Array.from({ length: copies }, () =>
        new PackedTensor(
          format,
          [rows, columns],
          [fromBytes(blocks, { shape: [rows, bytes / rows], dtype: 'u8', backend })],
        ).prepare(),
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

/** ggml formats, whose one part is the blocks. */
const formats = ['q4_1', 'q4_0', 'q8_0', 'q5_0', 'q4_k', 'q6_k'];

export const packedFamily: KernelFamily = {
  name: 'packed',
  cases: [1, 2].flatMap((threads) =>
    formats.flatMap((format) =>
      shapes.flatMap(([rows, columns]) => {
        // Super-blocks of 256 do not divide 576.
        const width = format.endsWith('_k') ? Math.ceil(columns / 256) * 256 : columns;
        return [1, 8, 512].map((M) => product({ format, rows, columns: width, M, threads }));
      }),
    ),
  ),
};
