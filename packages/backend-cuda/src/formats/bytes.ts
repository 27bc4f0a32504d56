import type { Value } from '../binding.js';
import type { Device } from '../device.js';

/** Bytes in which codes are packed, and what is done with their bits. Shapes grow as NumPy broadcasts. */
export class Bytes {
  constructor(
    readonly device: Device,
    readonly value: Value,
  ) {}

  get shape(): readonly number[] {
    return this.value.shape;
  }

  /** Bytes at … at + count - 1 of each row [n, count]. */
  at(at: number, count: number): Bytes {
    return this.with(this.device.slice(this.value, [0, at], [this.shape[0], count]));
  }

  reshape(...shape: number[]): Bytes {
    return this.with(this.device.reshape(this.value, shape));
  }

  and(mask: number): Bytes {
    return this.with(this.device.run('BitwiseAnd', [this.value, this.device.scalar(mask, 'u8')]));
  }

  or(other: Bytes): Bytes {
    return this.with(this.device.run('BitwiseOr', [this.value, other.value]));
  }

  shiftLeft(bits: number): Bytes {
    return this.with(this.device.run('LeftShift', [this.value, this.device.scalar(bits, 'u8')]));
  }

  shiftRight(bits: number): Bytes {
    return this.with(this.device.run('RightShift', [this.value, this.device.scalar(bits, 'u8')]));
  }

  /** The codes of `bits` bits in each byte, lowest first, on a new axis before the last `inner` ones. */
  split(bits: number, inner: number): Bytes {
    const count = 8 / bits;
    const { device, shape } = this;
    const outer = shape.slice(0, shape.length - inner);
    const last = shape.slice(shape.length - inner);
    const shifts = device.constant(`shifts ${bits} ${inner}`, () => {
      const numbers = Uint8Array.from({ length: count }, (_, i) => i * bits);
      return device.create([count, ...last.map(() => 1)], 'u8', numbers);
    });
    const apart = device.reshape(this.value, [...outer, 1, ...last]);
    return this.with(device.run('RightShift', [apart, shifts])).and(2 ** bits - 1);
  }

  concat(other: Bytes, axis: number): Bytes {
    return this.with(this.device.concat([this.value, other.value], axis));
  }

  /** As f32 numbers 0 … 255. */
  numbers(): Value {
    return this.device.cast(this.value, 'f32');
  }

  /** As f32 numbers -128 … 127. */
  signed(): Value {
    return this.device.cast(this.device.bitcast(this.value, 'i8'), 'f32');
  }

  /** Two bytes of each row as an f16, as f32 [n, 1]. */
  half(at: number): Value {
    const number = this.device.bitcast(this.at(at, 2).value, 'f16');
    return this.device.reshape(this.device.cast(number, 'f32'), [this.shape[0], 1]);
  }

  /** Numbers of a table by the codes. */
  lookUp(name: string, table: ArrayLike<number>): Value {
    const { device } = this;
    const numbers = device.constant(name, () =>
      device.create([table.length], 'f32', Float32Array.from(table)),
    );
    return device.run('GatherV2', [numbers, device.cast(this.value, 'i32'), device.scalar(0, 'i32')]);
  }

  private with(value: Value): Bytes {
    return new Bytes(this.device, value);
  }
}
