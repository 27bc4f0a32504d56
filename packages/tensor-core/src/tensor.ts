import type { Backend, Storage, TensorView } from './backend.js';
import { fromBytes, tensor as makeTensor } from './creation.js';
import { run } from './dispatch.js';
import { bytesPerElement, type DType, isFloating } from './dtype.js';
import { ArgumentError, DTypeError } from './errors.js';
import { decode, isExact } from './host-values.js';
import { releaseStorage, retainStorage } from './memory.js';
import { describe, requireFloat } from './ops/checks.js';
import type { BinaryOp, UnaryOp } from './ops/specs.js';
import { enterScope, type ScopeMember } from './scope.js';
import {
  formatShape,
  isContiguous,
  normalizeAxes,
  normalizeAxis,
  resolveReshape,
  type Shape,
  sizeOf,
} from './shape.js';
import { runBackward, type TapeNode } from './tape.js';

/** A second operand: a tensor of the same dtype and backend, or a number. */
export type Operand = Tensor | number;
export type Axes = number | readonly number[];

/**
 * An n-dimensional array on one backend. Immutable but for ops that declare `mutates` (assign, writeRows, adamw).
 * Every method runs one op through `dispatch`; shapes follow NumPy broadcasting; dtypes never change silently.
 */
export class Tensor implements TensorView, ScopeMember {
  /** Gradient of a leaf, filled by `backward()`; null before. */
  grad: Tensor | null = null;
  /** The op that made this tensor, while recording; null for leaves. */
  node: TapeNode | null = null;
  nodeOutput = 0;
  disposed = false;
  private isTrainableLeaf = false;

  constructor(
    readonly storage: Storage,
    readonly shape: Shape,
    readonly strides: readonly number[],
    readonly offset: number,
    readonly dtype: DType,
  ) {
    enterScope(this);
  }

  // --- identity and lifetime ---

  get backend(): Backend {
    return this.storage.backend;
  }
  get rank(): number {
    return this.shape.length;
  }
  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }
  /** Bytes of its elements: of a view, without what lies around it. */
  get byteLength(): number {
    return this.size * bytesPerElement(this.dtype);
  }
  get requiresGrad(): boolean {
    return this.node !== null || this.isTrainableLeaf;
  }

  /** Makes a leaf collect its gradient in `grad`. @throws DTypeError for integers, ArgumentError for non-leaves */
  setRequiresGrad(value: boolean): this {
    if (value && !isFloating(this.dtype)) {
      throw new DTypeError({
        where: 'setRequiresGrad',
        what: 'only floating-point tensors have gradients',
        got: this.dtype,
      });
    }
    if (this.node)
      throw new ArgumentError({ where: 'setRequiresGrad', what: 'not a leaf', hint: 'Call detach() first.' });
    this.isTrainableLeaf = value;
    return this;
  }

  /** Called by the tape alone. */
  attachNode(node: TapeNode, output: number): void {
    this.node = node;
    this.nodeOutput = output;
  }

  /** A second handle of the same values, cut off from the tape. */
  detach(): Tensor {
    return this.viewAs(this.shape, this.strides, this.offset);
  }

  /** Another look at the same storage; for core's view ops. */
  viewAs(shape: Shape, strides: readonly number[], offset: number): Tensor {
    return new Tensor(retainStorage(this.storage), shape, strides, offset, this.dtype);
  }

  /** Gives up this handle; the memory is reused when no other handle, view or saved value needs it. */
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.node = null;
    releaseStorage(this.storage);
  }

  /** For `using`: disposes the tensor at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  *reaches(): Iterable<ScopeMember> {
    if (this.node) yield this.node;
    if (this.grad) yield this.grad;
  }

  /** Adds the gradient of this tensor (a scalar, or give `gradient`) to `grad` of all leaves it depends on. */
  backward(gradient?: Tensor): void {
    runBackward(this, gradient);
  }

  // --- reading ---

  /** Row-major bytes, after all work on this tensor is done. */
  bytes(): Promise<Uint8Array> {
    return this.backend.read(this);
  }

  /** Values converted to f32, row-major. */
  async toFloat32(): Promise<Float32Array> {
    return decode(await this.bytes(), this.dtype);
  }

  /** Values of an i32 tensor, row-major. */
  async toInt32(): Promise<Int32Array> {
    if (this.dtype !== 'i32')
      throw new DTypeError({ where: 'toInt32', what: 'not an i32 tensor', got: this.dtype });
    const bytes = await this.bytes();
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  }

  /** The value of a tensor with one element. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new ArgumentError({
        where: 'item',
        what: 'more than one element',
        got: formatShape(this.shape),
        expected: 'one element',
      });
    }
    return (await this.toFloat32())[0];
  }

  /** A copy on another backend, cut off from the tape. */
  async to(backend: Backend): Promise<Tensor> {
    if (backend === this.backend) return this.detach();
    return fromBytes(await this.bytes(), { shape: this.shape, dtype: this.dtype, backend });
  }

  // --- elementwise ---

  add(other: Operand): Tensor {
    return this.binary('add', other);
  }
  sub(other: Operand): Tensor {
    return this.binary('sub', other);
  }
  mul(other: Operand): Tensor {
    return this.binary('mul', other);
  }
  div(other: Operand): Tensor {
    return this.binary('div', other);
  }
  pow(other: Operand): Tensor {
    return this.binary('pow', other);
  }
  maximum(other: Operand): Tensor {
    return this.binary('maximum', other);
  }
  minimum(other: Operand): Tensor {
    return this.binary('minimum', other);
  }
  /** Comparisons give bool tensors. */
  equal(other: Operand): Tensor {
    return this.binary('equal', other);
  }
  less(other: Operand): Tensor {
    return this.binary('less', other);
  }
  lessEqual(other: Operand): Tensor {
    return this.binary('lessEqual', other);
  }
  neg(): Tensor {
    return this.unary('neg');
  }
  abs(): Tensor {
    return this.unary('abs');
  }
  /** -1, 0 or 1. */
  sign(): Tensor {
    return this.unary('sign');
  }
  exp(): Tensor {
    return this.unary('exp');
  }
  /** Natural logarithm. */
  log(): Tensor {
    return this.unary('log');
  }
  sqrt(): Tensor {
    return this.unary('sqrt');
  }
  /** 1 / √x. */
  rsqrt(): Tensor {
    return this.unary('rsqrt');
  }
  sin(): Tensor {
    return this.unary('sin');
  }
  cos(): Tensor {
    return this.unary('cos');
  }
  tanh(): Tensor {
    return this.unary('tanh');
  }
  sigmoid(): Tensor {
    return this.unary('sigmoid');
  }
  erf(): Tensor {
    return this.unary('erf');
  }
  floor(): Tensor {
    return this.unary('floor');
  }
  /** max(x, 0); its gradient at 0 is 0. */
  relu(): Tensor {
    const zero = this.scalar(0);
    const result = run('where', [this.lessEqual(zero), zero, this], {});
    zero.dispose();
    return result;
  }
  /** x · sigmoid(x). */
  silu(): Tensor {
    return run('silu', [this], {});
  }
  /** x · Φ(x); `tanh` is the usual approximation (Hendrycks & Gimpel 2016). */
  gelu(approximate: 'none' | 'tanh' = 'none'): Tensor {
    return run('gelu', [this], { approximate });
  }
  isFinite(): Tensor {
    return this.unary('isFinite');
  }
  logicalNot(): Tensor {
    return this.unary('logicalNot');
  }
  /** Converts the dtype (this tensor itself when it has it): rounded to nearest even; truncated and clamped for integers. */
  cast(dtype: DType): Tensor {
    return dtype === this.dtype ? this : run('cast', [this], { dtype });
  }

  // --- reductions ---

  sum(axes?: Axes, keepDims = false): Tensor {
    return run('sum', [this], { axes: normalizeAxes('sum', axes, this.rank), keepDims });
  }
  mean(axes?: Axes, keepDims = false): Tensor {
    const list = normalizeAxes('mean', axes, this.rank);
    requireFloat('mean', [this]);
    const count = list.reduce((product, axis) => product * this.shape[axis], 1);
    // In f32, because a sum of f16 soon exceeds what f16 can hold.
    const sum = run('sum', [this.cast('f32')], { axes: list, keepDims });
    return sum.mul(1 / count).cast(this.dtype);
  }
  max(axes?: Axes, keepDims = false): Tensor {
    return run('max', [this], { axes: normalizeAxes('max', axes, this.rank), keepDims });
  }
  /** Index of the largest value along an axis, the first one of equals. i32. */
  argMax(axis = -1): Tensor {
    return run('argMax', [this], { axis: normalizeAxis('argMax', axis, this.rank) });
  }
  cumulativeSum(axis = -1): Tensor {
    return run('cumulativeSum', [this], { axis: normalizeAxis('cumulativeSum', axis, this.rank) });
  }
  /** Over the last axis. */
  softmax(): Tensor {
    return run('softmax', [this], {});
  }
  logSoftmax(): Tensor {
    return run('logSoftmax', [this], {});
  }

  // --- movement ---

  /** Same elements in another shape; one size may be -1. A view where the layout allows, else a copy. */
  reshape(...shape: number[]): Tensor {
    const source = isContiguous(this.shape, this.strides) ? this : this.contiguous();
    return run('reshape', [source], { shape: resolveReshape(this.shape, shape) });
  }
  /** Reorders axes; without arguments reverses them. A view. */
  permute(...axes: number[]): Tensor {
    const order = axes.length ? axes : this.shape.map((_, i) => this.rank - 1 - i);
    return run('permute', [this], { axes: order.map((axis) => normalizeAxis('permute', axis, this.rank)) });
  }
  /** Swaps two axes, by default the last two. A view. */
  transpose(a = -2, b = -1): Tensor {
    const axes = this.shape.map((_, i) => i);
    const [i, j] = [normalizeAxis('transpose', a, this.rank), normalizeAxis('transpose', b, this.rank)];
    [axes[i], axes[j]] = [axes[j], axes[i]];
    return this.permute(...axes);
  }
  /** Elements start … end-1 along one axis. A view. */
  slice(axis: number, start: number, end: number): Tensor {
    const at = normalizeAxis('slice', axis, this.rank);
    const starts = this.shape.map((_, i) => (i === at ? start : 0));
    const sizes = this.shape.map((size, i) => (i === at ? end - start : size));
    return run('slice', [this], { starts, sizes });
  }
  /** Repeats axes of size 1, and new leading axes. A view. */
  expand(...shape: number[]): Tensor {
    return run('expand', [this], { shape });
  }
  /** This tensor, or a row-major copy when its strides are not row-major. */
  contiguous(): Tensor {
    return isContiguous(this.shape, this.strides) ? this : run('copy', [this], {});
  }
  copy(): Tensor {
    return run('copy', [this], {});
  }
  pad(before: readonly number[], after: readonly number[], value = 0): Tensor {
    return run('pad', [this], { before, after, value });
  }

  // --- matmul and indexing ---

  /** Matrix product of the last two axes, broadcasting the others: [..., M, K] × [..., K, N] → [..., M, N]. */
  matmul(other: Tensor): Tensor {
    return run('matmul', [this, other], {});
  }
  /** Rows of axis 0 by index: [R, ...] and i32 [...I] → [...I, ...]. */
  gatherRows(indices: Tensor): Tensor {
    return run('gatherRows', [this, indices], {});
  }
  /** out[..., i, ...] = this[..., indices[..., i, ...], ...] along one axis. */
  takeAlongAxis(indices: Tensor, axis: number): Tensor {
    return run('takeAlongAxis', [this, indices], { axis: normalizeAxis('takeAlongAxis', axis, this.rank) });
  }

  // --- mutation ---

  /** Overwrites this tensor with `value` (same shape and dtype). */
  assign(value: Tensor): this {
    run('assign', [this, value], {});
    return this;
  }
  /** Overwrites rows of axis 0: this[indices[i]] = rows[i]. Indices must be distinct. */
  writeRows(indices: Tensor, rows: Tensor): this {
    run('writeRows', [this, indices, rows], {});
    return this;
  }

  private unary(op: UnaryOp): Tensor {
    return run(op, [this], {});
  }
  private binary(op: BinaryOp, other: Operand): Tensor {
    if (typeof other !== 'number') return run(op, [this, other], {});
    if (!isExact(other, this.dtype)) {
      // A factor like 0.1 must not lose its digits before it is used: results are rounded, operands are not.
      if (isFloating(this.dtype)) return this.wide(op, other);
      throw new DTypeError({
        where: op,
        what: `${other} is not a ${this.dtype} number`,
        got: describe([this]),
        hint: "Convert the tensor with cast('f32') first: dtypes never change silently.",
      });
    }
    const scalar = this.scalar(other);
    const result = run(op, [this, scalar], {});
    scalar.dispose();
    return result;
  }
  private wide(op: BinaryOp, other: number): Tensor {
    const result = this.cast('f32').binary(op, other);
    return result.dtype === 'bool' ? result : result.cast(this.dtype);
  }
  private scalar(value: number): Tensor {
    return makeTensor(value, { dtype: this.dtype, backend: this.backend });
  }
}
