import type { Backend } from './backend.js';
import { fromBytes } from './creation.js';
import { run } from './dispatch.js';
import { ShapeError } from './errors.js';
import { type PartArray, packedFormat } from './formats/index.js';
import { currentBackend } from './registry.js';
import { enterScope, keep, type ScopeMember } from './scope.js';
import { formatShape } from './shape.js';
import type { Tensor } from './tensor.js';

/**
 * A quantised or sparse matrix [rows, columns]: the parts of its format as plain tensors. It multiplies without
 * being unpacked where the backend has a kernel, and tile by tile elsewhere. It owns its parts, and scopes treat it
 * as one tensor.
 */
export class PackedTensor implements ScopeMember {
  constructor(
    readonly format: string,
    readonly shape: readonly [rows: number, columns: number],
    readonly parts: readonly Tensor[],
  ) {
    for (const part of parts) keep(part);
    enterScope(this);
  }

  /** Quantises f32 values (row-major) by round-to-nearest. */
  static pack(
    format: string,
    values: Float32Array,
    shape: readonly [number, number],
    backend = currentBackend(),
  ): PackedTensor {
    const [rows, columns] = shape;
    if (values.length !== rows * columns) {
      throw new ShapeError({
        where: 'PackedTensor.pack',
        what: 'values do not fill the shape',
        got: String(values.length),
        expected: formatShape(shape),
      });
    }
    return PackedTensor.fromParts(format, shape, packedFormat(format).pack(values, rows, columns), backend);
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
      .map(({ dtype, shape: partShape }, i) => {
        const { buffer, byteOffset, byteLength } = arrays[i];
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
    return this.parts.reduce((sum, part) => sum + part.storage.byteLength, 0);
  }

  private get attributes() {
    return { format: this.format, rows: this.shape[0], columns: this.shape[1] };
  }

  /** x [..., columns] → x Wᵀ [..., rows]. `activation: 'int8'` quantises each row of x first. */
  matmul(x: Tensor, activation: 'none' | 'int8' = 'none'): Tensor {
    return run('packedMatmul', [x, ...this.parts], { ...this.attributes, transpose: false, activation });
  }

  /** f32 rows [count, columns]. */
  unpack(rowStart = 0, rowCount = this.shape[0] - rowStart): Tensor {
    return run('unpack', this.parts, { ...this.attributes, rowStart, rowCount });
  }

  /** f32 rows by index: i32 [...I] → [...I, columns]. */
  gather(indices: Tensor): Tensor {
    return run('packedGather', [indices, ...this.parts], this.attributes);
  }

  async to(backend: Backend): Promise<PackedTensor> {
    return new PackedTensor(
      this.format,
      this.shape,
      await Promise.all(this.parts.map((part) => part.to(backend))),
    );
  }

  dispose(): void {
    for (const part of this.parts) part.dispose();
  }
}
