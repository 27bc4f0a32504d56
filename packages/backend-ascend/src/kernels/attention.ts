import type { AttentionAttributes, TensorInfo, TensorView } from '@frugal/tensor-core';
import type { Operand } from '../abi/types.js';
import { asBatch, type Device, operandOf, partOf, viewOf } from '../device.js';
import type { FusedFamily } from './family.js';

/** The last axis of the maximum and the sum of each softmax: equal numbers. */
const LANES = 8;
/** `innerPrecise`, `sparseMode`: what the mask says, no more. */
const PRECISE = 0;
const BY_MASK = 0;
const KEEP_ALL = 1;
/** Limits of CANN's op. */
const MOST_HEADS = 256;
const WIDEST_HEAD = 512;

const ZERO = { number: 0, type: 'i64' } as const;
const ONE = { number: 1, type: 'i64' } as const;

function positions(device: Device, count: number): Operand {
  const made = device.scratch([count], 'i32');
  device.run('Arange', ZERO, { number: count, type: 'i64' }, ONE, made);
  return made;
}

/** The first key and the key after the last one of the sequence of each row: i32 [N] each. */
function sequenceBounds(device: Device, starts: Operand, row: Operand): readonly [Operand, Operand] {
  const [N] = row.shape;
  const S = starts.shape[0] - 1;
  const begun = device.scratch([N, S], 'bool');
  device.run(
    'LeTensor',
    viewOf(partOf(starts, [0], [S]), [1, S], [0, starts.strides[0]]),
    viewOf(row, [N, 1], [1, 0]),
    begun,
  );
  const count = device.scratch([N], 'i32');
  device.run('ReduceSum', { ...begun, type: 'u8' }, [1], false, 'i32', count);
  const sequence = device.scratch([N], 'i32');
  device.run('Sub', count, device.constant(1, 'i32'), ONE, sequence);
  const [first, end] = [0, 1].map(() => device.scratch([N], 'i32'));
  device.run('GatherV2', starts, 0, sequence, first);
  device.run('GatherV2', starts, 0, count, end);
  return [first, end];
}

/** Keys that queries do not see: `hidden` [N, N]. Made on the device, so that nobody waits for the starts of sequences. */
function fillMask(
  device: Device,
  starts: Operand,
  hidden: Operand,
  { causal, window }: AttentionAttributes,
): void {
  const [N] = hidden.shape;
  const row = positions(device, N);
  let [low, high] = sequenceBounds(device, starts, row);
  const shifted = (name: 'Add' | 'Sub', by: number) => {
    const moved = device.scratch([N], 'i32');
    device.run(name, row, device.constant(by, 'i32'), ONE, moved);
    return moved;
  };
  const nearest = (name: 'Maximum' | 'Minimum', a: Operand, b: Operand) => {
    const chosen = device.scratch([N], 'i32');
    device.run(name, a, b, chosen);
    return chosen;
  };
  if (causal) high = shifted('Add', 1);
  if (window !== undefined) {
    low = nearest('Maximum', low, shifted('Sub', window - 1));
    high = nearest('Minimum', high, shifted('Add', window));
  }
  const [column, perRow] = [viewOf(row, [1, N], [0, 1]), (bound: Operand) => viewOf(bound, [N, 1], [1, 0])];
  const [early, late] = [0, 1].map(() => device.scratch([N, N], 'bool'));
  device.run('LtTensor', column, perRow(low), early);
  device.run('LeTensor', perRow(high), column, late);
  device.run('LogicalOr', early, late, hidden);
}

/** Calls `use` with the mask of a batch, which all its blocks share. */
function withMask(
  device: Device,
  starts: TensorView,
  N: number,
  attributes: AttentionAttributes,
  use: (hidden: Operand) => void,
): void {
  const make = (hidden: Operand) =>
    device.frame(() => fillMask(device, operandOf(starts), hidden, attributes));
  device.masks.with(starts, N, attributes, make, use);
}

/** What the forward and the backward op have in common after the tensors: scale to `sparseMode`. */
function settings([N, H]: readonly number[], { scale, causal, window }: AttentionAttributes) {
  const before = window === undefined ? N : window - 1;
  const after = causal ? 0 : before;
  return [scale, KEEP_ALL, before, after, H, 'BSND', PRECISE, BY_MASK] as const;
}

/** An output that CANN keeps for later: a tensor without elements. */
function unused(device: Device): Operand {
  return device.scratch([0], 'f32');
}

function forward(
  device: Device,
  views: readonly TensorView[],
  [output, logSumExp]: readonly TensorView[],
  attributes: AttentionAttributes,
): void {
  const [q, k, v] = views.map(operandOf);
  const [N, H] = q.shape;
  const [top, sum] = [0, 1].map(() => device.scratch([1, H, N, LANES], 'f32'));
  withMask(device, views[3], N, attributes, (hidden) =>
    device.run(
      'FlashAttentionScore',
      ...([asBatch(q), asBatch(k), asBatch(v), null, null, null] as const),
      ...([hidden, null, ...settings(q.shape, attributes)] as const),
      ...([top, sum, unused(device), asBatch(operandOf(output))] as const),
    ),
  );
  const lane = (x: Operand) => viewOf(x, [H, N], [N * LANES, LANES]);
  const logarithm = device.scratch([H, N], 'f32');
  device.run('Log', lane(sum), logarithm);
  device.run('Add', lane(top), logarithm, ONE, viewOf(operandOf(logSumExp), [H, N], [1, H]));
}

/** exp(s - max) / sum are the weights of the softmax as well when max is log Σ exp and sum is 1. */
function backward(
  device: Device,
  views: readonly TensorView[],
  outputs: readonly TensorView[],
  attributes: AttentionAttributes,
): void {
  const [gradient, q, k, v, , output, logSumExp] = views.map(operandOf);
  const [N, H] = q.shape;
  const [top, sum] = [0, 1].map(() => device.scratch([1, H, N, LANES], 'f32'));
  const [step, next] = logSumExp.strides;
  device.copy(top, viewOf(logSumExp, [1, H, N, 1], [0, next, step, 0]));
  device.fill(sum, 1);
  withMask(device, views[4], N, attributes, (hidden) =>
    device.run(
      'FlashAttentionScoreGrad',
      ...([asBatch(q), asBatch(k), asBatch(v), asBatch(gradient), null, null, null] as const),
      ...([hidden, top, sum, null, asBatch(output), null] as const),
      ...settings(q.shape, attributes),
      ...([0, 1, 2].map((i) => asBatch(operandOf(outputs[i]))) as [Operand, Operand, Operand]),
      unused(device),
    ),
  );
}

function fits([q, , v]: readonly TensorInfo[], { softCap }: AttentionAttributes): boolean {
  const [, H, D] = q.shape;
  return !softCap && v.shape[2] === D && D <= WIDEST_HEAD && H <= MOST_HEADS;
}

/** Attention over packed sequences. */
export const attentionKernels: FusedFamily<'attention' | 'attentionBackward'> = (device) => ({
  attention: {
    takes: (inputs, attributes) => device.has('FlashAttentionScore') && fits(inputs, attributes),
    run: (inputs, outputs, attributes) => forward(device, inputs, outputs, attributes),
  },
  attentionBackward: {
    takes: ([, ...inputs], attributes) => device.has('FlashAttentionScoreGrad') && fits(inputs, attributes),
    run: (inputs, outputs, attributes) => backward(device, inputs, outputs, attributes),
  },
});
