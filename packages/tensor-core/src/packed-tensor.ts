import type { Backend } from './backend.js';
import { fromBytes } from './creation.js';
import { dispatch, run } from './dispatch.js';
import { ArgumentError, NonFiniteError, ShapeError } from './errors.js';
import {
  anyLength,
  firstNotFinite,
  type PackedActivation,
  type PackOptions,
  type PartArray,
  packedFormat,
  recommendedActivation,
} from './formats/index.js';
import { packMatrix, packRows, type RowReader } from './pack-matrix.js';
import { currentBackend } from './registry.js';
import { enterScope, keep, type ScopeMember } from './scope.js';
import { formatShape, sizeOf } from './shape.js';
import type { Tensor } from './tensor.js';
import { turnColumns } from './turned-columns.js';

/**
 * A quantised or sparse matrix [rows, columns]: the parts of its format as plain tensors. It multiplies without
 * being unpacked where the backend has a kernel, and tile by tile elsewhere. It owns its parts, and scopes treat it
 * as one tensor.
 */
export class PackedTensor implements ScopeMember {
  private held: readonly Tensor[];
  private physical: string | undefined;
  /** Whether {@link prepare} was asked for: also where the backend of then was content with the parts. */
  private isPrepared: boolean;

  /** `layout` names a layout of the backend's own; left out, the parts are those of the format. */
  constructor(
    readonly format: string,
    readonly shape: readonly [rows: number, columns: number],
    parts: readonly Tensor[],
    layout?: string,
  ) {
    this.held = parts;
    this.physical = layout;
    this.isPrepared = layout !== undefined;
    for (const part of parts) keep(part);
    enterScope(this);
  }

  /** The parts of the format, or the one tensor of {@link layout}. */
  get parts(): readonly Tensor[] {
    return this.held;
  }

  /** The backend's own layout, after {@link prepare}; undefined: as the format has it. */
  get layout(): string | undefined {
    return this.physical;
  }

  /**
   * Quantises f32 values (row-major) by round-to-nearest, with scales that favour the columns of more importance.
   * @throws ArgumentError for an importance that the format has no use for; NonFiniteError for infinities and NaN, which no
   *   format of codes can hold
   */
  static pack(
    format: string,
    values: Float32Array,
    shape: readonly [number, number],
    backend = currentBackend(),
    options: PackOptions = {},
  ): PackedTensor {
    checkPacking('PackedTensor.pack', format, options);
    checkRows('PackedTensor.pack', values, [0, shape[0]], shape[1]);
    return PackedTensor.fromParts(
      format,
      shape,
      packMatrix(format, values, shape, backend, options),
      backend,
    );
  }

  /**
   * {@link pack} of a matrix that is read some rows at a time, with the same bytes: of a large one no copy in floats is made
   * where the format packs row by row.
   */
  static async packRows(
    format: string,
    read: RowReader,
    shape: readonly [number, number],
    backend = currentBackend(),
    options: PackOptions = {},
  ): Promise<PackedTensor> {
    checkPacking('PackedTensor.packRows', format, options);
    const checked: RowReader = async (rowStart, rowCount) => {
      const values = await read(rowStart, rowCount);
      checkRows('PackedTensor.packRows', values, [rowStart, rowCount], shape[1]);
      return values;
    };
    return PackedTensor.fromParts(
      format,
      shape,
      await packRows(format, checked, shape, backend, options),
      backend,
    );
  }

  /** From the arrays of a format's parts, for example read from a checkpoint. */
  static fromParts(
    format: string,
    shape: readonly [number, number],
    arrays: readonly PartArray[],
    backend = currentBackend(),
  ): PackedTensor {
    const parts = packedFormat(format)
      .parts(...shape)
      .map(({ name, dtype, shape: sizes }, i) => {
        const { buffer, byteOffset, byteLength, length } = arrays[i];
        const partShape = sizes.map((size) => (size === anyLength ? length : size));
        if (sizeOf(partShape) !== length) {
          throw new ShapeError({
            where: `PackedTensor.fromParts: ${format}`,
            what: `part ${name} has the wrong size`,
            got: `${length} elements`,
            expected: formatShape(partShape),
          });
        }
        return fromBytes(new Uint8Array(buffer, byteOffset, byteLength), {
          dtype,
          shape: partShape,
          backend,
        });
      });
    return new PackedTensor(format, shape, parts);
  }

  get backend(): Backend {
    return this.parts[0].backend;
  }

  /** Bytes of all parts. */
  get byteLength(): number {
    return this.parts.reduce((sum, part) => sum + part.byteLength, 0);
  }

  /** The format of the parts, when they hold the matrix with its columns turned. */
  private get turned(): string | undefined {
    return packedFormat(this.format).turned;
  }

  private get attributes() {
    const format = this.turned ?? this.format;
    return { format, rows: this.shape[0], columns: this.shape[1], layout: this.layout };
  }

  /** The quantisation of activations that suits the format. */
  get recommendedActivation(): PackedActivation {
    return recommendedActivation(this.format);
  }

  /**
   * Lets the backend put the matrix into the layout that its kernels read fastest, without loss, and drops the parts. To
   * be called once, when a model has been loaded; does nothing where the backend is content with the parts.
   */
  prepare(): this {
    this.isPrepared = true;
    if (this.layout !== undefined) return this;
    const wish = this.backend.packedLayout?.(this.attributes.format, ...this.shape);
    if (!wish) return this;
    const { name: layout, byteLength } = wish;
    const repacked = run('packedRepack', this.parts, { ...this.attributes, layout, byteLength });
    keep(repacked);
    this.dispose();
    this.held = [repacked];
    this.physical = layout;
    return this;
  }

  /** {@link prepare} for a while: when the result is disposed, the parts are back as they were. */
  prepared(): Disposable {
    const [parts, layout, isPrepared] = [
      this.parts.map((part) => keep(part.detach())),
      this.layout,
      this.isPrepared,
    ];
    this.prepare();
    return {
      [Symbol.dispose]: () => {
        this.dispose();
        this.held = parts;
        this.physical = layout;
        this.isPrepared = isPrepared;
      },
    };
  }

  /** The parts of the format, byte for byte as they were before {@link prepare}; this one stays as it is. */
  standard(): PackedTensor {
    const { layout } = this;
    const parts =
      layout === undefined
        ? this.parts.map((part) => part.detach())
        : dispatch('packedStandard', this.parts, { ...this.attributes, layout });
    return new PackedTensor(this.format, this.shape, parts);
  }

  /** x [..., columns] → x Wᵀ [..., rows]; see {@link PackedActivation}. */
  matmul(x: Tensor, activation: PackedActivation = 'none'): Tensor {
    const attributes = { ...this.attributes, transpose: false, activation };
    if (this.turned === undefined) return run('packedMatmul', [x, ...this.parts], attributes);
    return run('packedMatmul', [turnColumns(x), ...this.parts], attributes).cast(x.dtype);
  }

  /** x [..., rows] → x W [..., columns]. */
  matmulTransposed(x: Tensor): Tensor {
    const product = run('packedMatmul', [x, ...this.parts], {
      ...this.attributes,
      transpose: true,
      activation: 'none',
    });
    return this.turned === undefined ? product : turnColumns(product, true).cast(x.dtype);
  }

  /** f32 rows [count, columns]. */
  unpack(rowStart = 0, rowCount = this.shape[0] - rowStart): Tensor {
    const rows = run('unpack', this.parts, { ...this.attributes, rowStart, rowCount });
    return this.turned === undefined ? rows : turnColumns(rows, true);
  }

  /** f32 rows by index: i32 [...I] → [...I, columns]. */
  gather(indices: Tensor): Tensor {
    const rows = run('packedGather', [indices, ...this.parts], this.attributes);
    return this.turned === undefined ? rows : turnColumns(rows, true);
  }

  /** Whether others can be multiplied by together with this one, see {@link groupedPackedMatmul}. */
  isLike({ format, layout, shape }: PackedTensor): boolean {
    return (
      format === this.format && layout === this.layout && shape.every((size, i) => size === this.shape[i])
    );
  }

  async to(backend: Backend): Promise<PackedTensor> {
    if (this.layout !== undefined && backend !== this.backend) {
      const standard = this.standard();
      const moved = await standard.to(backend);
      standard.dispose();
      return moved;
    }
    const parts = await Promise.all(this.parts.map((part) => part.to(backend)));
    return new PackedTensor(this.format, this.shape, parts, this.layout);
  }

  /** Moves the matrix itself into the memory of another backend, prepared there as it was here. */
  async moveTo(backend: Backend): Promise<this> {
    if (backend === this.backend) return this;
    const moved = keep(await this.to(backend));
    if (this.isPrepared) moved.prepare();
    this.dispose();
    this.held = moved.held;
    this.physical = moved.physical;
    return this;
  }

  dispose(): void {
    for (const part of this.parts) part.dispose();
  }
}

function checkPacking(where: string, format: string, { importance }: PackOptions): void {
  if (!importance || packedFormat(format).weighsColumns) return;
  throw new ArgumentError({
    where,
    what: 'the format weighs all columns alike',
    got: format,
    expected: 'a GGUF format (q4_k, q5_0, …) where importance is given',
  });
}

function checkRows(
  where: string,
  values: Float32Array,
  [rowStart, rowCount]: readonly [number, number],
  columns: number,
): void {
  if (values.length !== rowCount * columns) {
    throw new ShapeError({
      where,
      what: 'values do not fill the shape',
      got: String(values.length),
      expected: formatShape([rowCount, columns]),
    });
  }
  const bad = firstNotFinite(values);
  if (bad < 0) return;
  throw new NonFiniteError({
    where,
    what: `a value is not finite in row ${rowStart + Math.floor(bad / columns)}, column ${bad % columns}`,
    got: String(values[bad]),
  });
}

/**
 * Rows [N, columns] sorted by group, row i of group e (offsets[e] ≤ i < offsets[e + 1], i32 [E + 1]) by matrix e: → [N, rows].
 * The bits are those of {@link PackedTensor.matmul}, group by group.
 * @throws ArgumentError for matrices that differ in format, layout or shape
 */
export function groupedPackedMatmul(
  x: Tensor,
  matrices: readonly PackedTensor[],
  offsets: Tensor,
  activation: PackedActivation = 'none',
): Tensor {
  const [first] = matrices;
  const other = matrices.find((matrix) => !matrix.isLike(first));
  if (!first || other) {
    const describe = ({ format, shape }: PackedTensor) => `${format} ${formatShape(shape)}`;
    throw new ArgumentError({
      where: 'groupedPackedMatmul',
      what: 'matrices of one product must be alike',
      got: other ? `${describe(first)} and ${describe(other)}` : 'none',
    });
  }
  const [rows, columns] = first.shape;
  const { format, layout } = first;
  const { turned } = packedFormat(format);
  const parts = matrices.flatMap((matrix) => matrix.parts);
  const input = turned === undefined ? x : turnColumns(x);
  const product = run('groupedPackedMatmul', [input, offsets, ...parts], {
    format: turned ?? format,
    rows,
    columns,
    layout,
    groups: matrices.length,
    activation,
  });
  return turned === undefined ? product : product.cast(x.dtype);
}
