import { describe, expect, it } from 'vitest';
import { arange, fromBytes, ones, tensor, zeros } from '../creation.js';
import { type OpObserver, observer } from '../debug.js';
import { dispatch, run } from '../dispatch.js';
import {
  ArgumentError,
  AxisError,
  BackendError,
  DTypeError,
  type FrugalError,
  IndexError,
  LifetimeError,
  ShapeError,
} from '../errors.js';
import { nullBackend } from '../null/index.js';
import { PackedTensor } from '../packed-tensor.js';
import { noGrad } from '../tape.js';
import {
  attention,
  concat,
  crossEntropy,
  rmsNorm,
  rope,
  scatterAddRows,
  swiglu,
  topK,
  where,
} from './functions.js';

const indices = (...values: number[]) => tensor(Int32Array.from(values));

interface Refusal {
  readonly name: string;
  readonly error: new (...details: never[]) => FrugalError;
  /** All of these must be in the message. */
  readonly says: readonly string[];
  make(): () => unknown;
}

function refusal(name: string, error: Refusal['error'], says: string[], make: Refusal['make']): Refusal {
  return { name, error, says, make };
}

const refusals: readonly Refusal[] = [
  refusal('add: shapes', ShapeError, ['[add]', 'f32 [2, 3]', 'f32 [4]', 'reshape()'], () => {
    const [a, b] = [ones([2, 3]), ones([4])];
    return () => a.add(b);
  }),
  refusal('add: dtypes', DTypeError, ['[add]', 'f32 [2] and i32 [2]', "cast('f32')"], () => {
    const [a, b] = [ones([2]), indices(1, 2)];
    return () => a.add(b);
  }),
  refusal('add: bool', DTypeError, ['[add]', 'bool [2]', "cast('i32')"], () => {
    const a = ones([2], { dtype: 'bool' });
    return () => a.add(a);
  }),
  refusal(
    'mul: a fraction times integers',
    DTypeError,
    ['[mul]', '0.5 is not a i32 number', 'i32 [2]'],
    () => {
      const a = indices(1, 2);
      return () => a.mul(0.5);
    },
  ),
  refusal('mean: integers', DTypeError, ['[mean]', 'i32 [2]'], () => {
    const a = indices(1, 2);
    return () => a.mean();
  }),
  refusal('div: integers', DTypeError, ['[div]', 'i32 [2]'], () => {
    const a = indices(1, 2);
    return () => a.div(a);
  }),
  refusal('where: condition', DTypeError, ['[where]', 'f32 [2]', 'bool'], () => {
    const a = ones([2]);
    return () => where(a, a, a);
  }),
  refusal('exp: integers', DTypeError, ['[exp]', 'i32 [1]', "cast('f32')"], () => {
    const a = indices(1);
    return () => a.exp();
  }),
  refusal('sum: axis', AxisError, ['[sum]', 'axis 2', 'rank 2', '-2 to 1'], () => {
    const a = ones([2, 3]);
    return () => a.sum(2);
  }),
  refusal('max: of nothing', ShapeError, ['[max]', '[2, 0]', '[2]'], () => {
    const a = ones([2, 0]);
    return () => a.max(1);
  }),
  refusal('argMax: of nothing', ShapeError, ['[argMax]', '[0]'], () => {
    const a = ones([0]);
    return () => a.argMax();
  }),
  refusal('reshape', ShapeError, ['[reshape]', '[2, 3] (6 elements)', '[4, -1]'], () => {
    const a = ones([2, 3]);
    return () => a.reshape(4, -1);
  }),
  refusal('slice: range', ShapeError, ['[slice]', '[2, 3]', 'start + size'], () => {
    const a = ones([2, 3]);
    return () => a.slice(1, 1, 5);
  }),
  refusal('slice: fractions', ShapeError, ['[slice]', '0.5'], () => {
    const a = ones([2, 3]);
    return () => a.slice(1, 0.5, 1.5);
  }),
  refusal('expand', ShapeError, ['[expand]', '[3]', '[2, 4]'], () => {
    const a = ones([3]);
    return () => a.expand(2, 4);
  }),
  refusal('expand: negative', ShapeError, ['[expand]', '[-1]'], () => {
    const a = ones([1]);
    return () => a.expand(-1);
  }),
  refusal('permute', ShapeError, ['[permute]', 'a permutation of 0..1'], () => {
    const a = ones([2, 3]);
    return () => a.permute(0, 0);
  }),
  refusal('concat: shapes', ShapeError, ['[concat]', 'f32 [2, 3] and f32 [2, 4]', 'axis 0'], () => {
    const [a, b] = [ones([2, 3]), ones([2, 4])];
    return () => concat([a, b]);
  }),
  refusal('concat: axis', AxisError, ['[concat]', 'axis 2', 'rank 2'], () => {
    const a = ones([2, 3]);
    return () => concat([a, a], 2);
  }),
  refusal('concat: nothing', ArgumentError, ['[concat]', 'no tensors'], () => () => concat([])),
  refusal('pad', ShapeError, ['[pad]', '[-1]', '[2]'], () => {
    const a = ones([2]);
    return () => a.pad([-1], [0]);
  }),
  refusal(
    'matmul: inner sizes',
    ShapeError,
    ['[matmul]', 'f32 [2, 3] and f32 [4, 5]', 'weight.transpose()'],
    () => {
      const [a, b] = [ones([2, 3]), ones([4, 5])];
      return () => a.matmul(b);
    },
  ),
  refusal('matmul: batches', ShapeError, ['[matmul]', 'batch axes', '[2, 3, 4]', '[3, 4, 5]'], () => {
    const [a, b] = [ones([2, 3, 4]), ones([3, 4, 5])];
    return () => a.matmul(b);
  }),
  refusal('matmul: rank', ShapeError, ['[matmul]', 'the right operand', '[3]'], () => {
    const [a, b] = [ones([2, 3]), ones([3])];
    return () => a.matmul(b);
  }),
  refusal('gatherRows: index', IndexError, ['[gatherRows]', '7 at position 2', '[5, 2]', '0 to 4'], () => {
    const [table, rows] = [ones([5, 2]), indices(0, 4, 7)];
    return () => table.gatherRows(rows);
  }),
  refusal('gatherRows: negative index', IndexError, ['[gatherRows]', '-1 at position 0'], () => {
    const [table, rows] = [ones([5, 2]), indices(-1)];
    return () => table.gatherRows(rows);
  }),
  refusal('gatherRows: dtype', DTypeError, ['[gatherRows]', 'indices must be i32', 'f32 [1]'], () => {
    const [table, rows] = [ones([5, 2]), ones([1])];
    return () => table.gatherRows(rows);
  }),
  refusal('takeAlongAxis', ShapeError, ['[takeAlongAxis]', '[3, 1]', '[2, 4]'], () => {
    const [x, at] = [ones([2, 4]), zeros([3, 1], { dtype: 'i32' })];
    return () => x.takeAlongAxis(at, 1);
  }),
  refusal('scatterAddRows: index', IndexError, ['[scatterAddRows]', '3 at position 1', '0 to 2'], () => {
    const [at, values] = [indices(0, 3), ones([2, 2])];
    return () => scatterAddRows(at, values, 3);
  }),
  refusal('topK', ArgumentError, ['[topK]', 'k = 5', '[2, 4]', '1 to 4'], () => {
    const x = ones([2, 4]);
    return () => topK(x, 5);
  }),
  refusal('rmsNorm', ShapeError, ['[rmsNorm]', 'the weight', '[2, 4]', '[3]'], () => {
    const [x, weight] = [ones([2, 4]), ones([3])];
    return () => rmsNorm(x, weight, 1e-5);
  }),
  refusal('swiglu', ShapeError, ['[swiglu]', 'f32 [2] and f32 [3]'], () => {
    const [a, b] = [ones([2]), ones([3])];
    return () => swiglu(a, b);
  }),
  refusal('rope', ShapeError, ['[rope]', 'f32 [4, 2, 6]', 'R ≤ D / 2'], () => {
    const [x, table] = [ones([4, 2, 6]), ones([4, 4])];
    return () => rope(x, table, table);
  }),
  refusal(
    'attention: heads',
    ShapeError,
    ['[attention]', 'f32 [4, 3, 8]', 'f32 [4, 2, 8]', 'multiple'],
    () => {
      const [q, k, starts] = [ones([4, 3, 8]), ones([4, 2, 8]), indices(0, 4)];
      return () => attention(q, k, k, starts, { scale: 1, causal: true });
    },
  ),
  refusal('attention: window', ArgumentError, ['[attention]', 'window', '0'], () => {
    const [q, starts] = [ones([4, 2, 8]), indices(0, 4)];
    return () => attention(q, q, q, starts, { scale: 1, causal: true, window: 0 });
  }),
  refusal('attention: starts', IndexError, ['[attention]', '9 at position 1'], () => {
    const [q, starts] = [ones([4, 2, 8]), indices(0, 9)];
    return () => attention(q, q, q, starts, { scale: 1, causal: true });
  }),
  refusal(
    'crossEntropy: target',
    IndexError,
    ['[crossEntropy]', '10 at position 1', '0 to 9 or -100'],
    () => {
      const [logits, targets] = [ones([2, 10]), indices(-100, 10)];
      return () => crossEntropy(logits, targets);
    },
  ),
  refusal('packedMatmul', ShapeError, ['[packedMatmul]', 'f32 [2, 5]', '[..., 4]'], () => {
    const [weight, x] = [PackedTensor.pack('int8-channel', new Float32Array(12), [3, 4]), ones([2, 5])];
    return () => weight.matmul(x);
  }),
  refusal('packedMatmul: parts', ShapeError, ['[packedMatmul]', 'int8-channel', 'i8 [3, 4]'], () => {
    const x = ones([2, 4]);
    return () =>
      dispatch('packedMatmul', [x, x], {
        format: 'int8-channel',
        rows: 3,
        columns: 4,
        transpose: false,
        activation: 'none',
      });
  }),
  refusal('unpack: format', ArgumentError, ['unknown packed format', 'int9', 'int8-channel'], () => {
    const x = ones([2, 4]);
    return () => run('unpack', [x], { format: 'int9', rows: 1, columns: 1, rowStart: 0, rowCount: 1 });
  }),
  refusal('assign: shape', ShapeError, ['[assign]', '[2]', '[3]'], () => {
    const [a, b] = [ones([2]), ones([3])];
    return () => a.assign(b);
  }),
  refusal('assign: into a transposed view', LifetimeError, ['[assign]', 'contiguous', '[3, 2]'], () => {
    const [a, b] = [ones([2, 3]).transpose(), ones([3, 2])];
    return () => a.assign(b);
  }),
  refusal('writeRows: index', IndexError, ['[writeRows]', '2 at position 0'], () => {
    const [a, at, rows] = [ones([2, 3]), indices(2), ones([1, 3])];
    return () => a.writeRows(at, rows);
  }),
  refusal('adamw: dtype', DTypeError, ['[adamw]', 'parameter and moments must be f32', 'bf16 [2]'], () => {
    const [half, full, scalar] = [ones([2], { dtype: 'bf16' }), ones([2]), ones([])];
    const attributes = { learningRate: 1, beta1: 0, beta2: 0, epsilon: 0, weightDecay: 0, step: 1 };
    return () => noGrad(() => dispatch('adamw', [half, full, full, full, scalar, scalar], attributes));
  }),
  refusal('two backends', BackendError, ['[add]', 'reference, null', 'tensor.to(backend)'], () => {
    const [a, b] = [ones([2]), ones([2], { backend: nullBackend() })];
    return () => a.add(b);
  }),
  refusal('zeros: shape', ShapeError, ['[fill]', '[2, -1]'], () => () => zeros([2, -1])),
  refusal('arange: count', ShapeError, ['[arange]', '[1.5]'], () => () => arange(1.5)),
  refusal('tensor: ragged rows', ShapeError, ['[tensor]', '[2] and [1]'], () => () => tensor([[1, 2], [3]])),
  refusal('fromBytes', ShapeError, ['[fromBytes]', '7 bytes', '8 for f32 [2]'], () => {
    return () => fromBytes(new Uint8Array(7), { shape: [2], dtype: 'f32' });
  }),
];

describe('bad input', () => {
  it.each(refusals)('$name is refused before any kernel runs', ({ error, says, make }) => {
    const attempt = make();
    let launched = 0;
    const counting: OpObserver = (_op, _inputs, _outputs, _attributes, launch) => {
      launched++;
      launch();
    };
    observer.current = counting;
    try {
      attempt();
      expect.unreachable();
    } catch (caught) {
      expect(caught).toBeInstanceOf(error);
      const { message } = caught as FrugalError;
      for (const part of says) expect(message).toContain(part);
    } finally {
      observer.current = null;
    }
    expect(launched).toBe(0);
  });

  it('errors carry their parts as data', () => {
    try {
      ones([2, 3]).add(ones([4]));
    } catch (error) {
      expect(error).toMatchObject({
        name: 'ShapeError',
        where: 'add',
        what: 'shapes do not broadcast',
        got: 'f32 [2, 3] and f32 [4]',
        hint: 'Use reshape() to line up the axes.',
      });
    }
  });
});
