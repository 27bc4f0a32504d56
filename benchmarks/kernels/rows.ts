import type { CpuBackend } from '@frugal/backend-cpu';
import { dispatch, Random, type Tensor, tensor } from '@frugal/tensor-core';
import type { KernelCase, KernelFamily } from './case.js';

type Draw = (...shape: number[]) => Tensor;

interface RowOp {
  /** As `benchmarks/peers/torch_rows.py` calls it. */
  readonly name: string;
  /** Tensors of [rows, columns] that are read and written. */
  readonly passes: number;
  prepare(draw: Draw, rows: number, columns: number, backend: CpuBackend): readonly Tensor[];
  run(inputs: readonly Tensor[], rows: number): void;
}

const epsilon = 1e-5;
const HEAD = 64;
const VOCABULARY = 32768;

const ops: readonly RowOp[] = [
  {
    name: 'add-rms-norm',
    passes: 4,
    prepare: (draw, R, C) => [draw(R, C), draw(R, C), draw(C)],
    run: (inputs) => void dispatch('addRmsNorm', inputs, { epsilon }),
  },
  {
    name: 'add-rms-norm-backward',
    passes: 4,
    prepare: (draw, R, C) => [draw(R, C), draw(R, C), draw(R, C), draw(C)],
    run: (inputs) => void dispatch('addRmsNormBackward', inputs, { epsilon }),
  },
  {
    name: 'layer-norm',
    passes: 2,
    prepare: (draw, R, C) => [draw(R, C), draw(C), draw(C)],
    run: (inputs) => void dispatch('layerNorm', inputs, { epsilon }),
  },
  {
    name: 'layer-norm-backward',
    passes: 3,
    prepare: (draw, R, C) => [draw(R, C), draw(R, C), draw(C)],
    run: (inputs) => void dispatch('layerNormBackward', inputs, { epsilon }),
  },
  {
    name: 'swiglu',
    passes: 3,
    prepare: (draw, R, C) => [draw(R, C), draw(R, C)],
    run: (inputs) => void dispatch('swiglu', inputs, { activation: 'silu' }),
  },
  {
    name: 'swiglu-backward',
    passes: 5,
    prepare: (draw, R, C) => [draw(R, C), draw(R, C), draw(R, C)],
    run: (inputs) => void dispatch('swigluBackward', inputs, { activation: 'silu' }),
  },
  {
    name: 'rope',
    passes: 2,
    prepare: (draw, R, C) => [
      draw(R, C / HEAD, HEAD),
      draw(R, HEAD / 2).cast('f32'),
      draw(R, HEAD / 2).cast('f32'),
    ],
    run: (inputs) => void dispatch('rope', inputs, { interleaved: false, inverse: false }),
  },
  {
    name: 'embedding-backward',
    passes: 1,
    prepare: (draw, R, C, backend) => {
      let state = 1;
      const next = () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return (state >>> 8) % VOCABULARY;
      };
      return [tensor(Int32Array.from({ length: R }, next), { backend }), draw(R, C)];
    },
    run: (inputs) => void dispatch('scatterAddRows', inputs, { rows: VOCABULARY }),
  },
];

function rowCase(
  op: RowOp,
  dtype: 'f32' | 'bf16',
  rows: number,
  columns: number,
  threads: number,
): KernelCase {
  const size = dtype === 'f32' ? 4 : 2;
  const written = op.name === 'embedding-backward' ? VOCABULARY * columns : 0;
  return {
    name: `${op.name} ${dtype} ${rows} × ${columns}`,
    threads,
    operations: 0,
    bytes: (op.passes * rows * columns + written) * size,
    bound: 'read',
    prepare: (backend) => {
      const random = new Random(1);
      const draw: Draw = (...shape) => random.normal(shape, { backend }).cast(dtype);
      const inputs = op.prepare(draw, rows, columns, backend);
      return { inputs, run: () => op.run(inputs, rows) };
    },
    peers: [
      {
        script: 'torch_rows.py',
        module: 'torch',
        args: ['--dtype', dtype],
        what: `${op.name}x${rows}x${columns}`,
      },
    ],
  };
}

export const rowsFamily: KernelFamily = {
  name: 'rows',
  cases: ops.flatMap((op) =>
    (['f32', 'bf16'] as const).flatMap((dtype) =>
      [1, 2].map((threads) => rowCase(op, dtype, 2048, 768, threads)),
    ),
  ),
};
