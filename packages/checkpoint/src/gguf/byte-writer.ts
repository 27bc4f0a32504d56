import { NUMBER_ARRAYS, VALUE_BYTES } from './types.js';

/** Bytes that grow. */
export class ByteWriter {
  private buffer = new Uint8Array(2 ** 16);
  private view = new DataView(this.buffer.buffer);
  byteLength = 0;

  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.byteLength);
  }

  u32(value: number): void {
    const start = this.reserve(4); // first: it may replace the view
    this.view.setUint32(start, value, true);
  }

  u64(value: number): void {
    const start = this.reserve(8);
    this.view.setBigUint64(start, BigInt(value), true);
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.byteLength);
    const start = this.reserve(bytes.byteLength);
    this.buffer.set(bytes, start);
  }

  zeros(count: number): void {
    this.reserve(count);
  }

  /** Writes a number; returns false when the type cannot hold it exactly (floats are rounded). */
  number(type: keyof typeof NUMBER_ARRAYS, value: number | bigint): boolean {
    if (typeof value !== 'number' && typeof value !== 'bigint') return false;
    const isFloat = type === 'f32' || type === 'f64';
    if (!isFloat && typeof value === 'number' && !Number.isSafeInteger(value)) return false;
    const wide = type === 'u64' || type === 'i64';
    const list = new NUMBER_ARRAYS[type](1);
    (list as { [index: number]: number | bigint })[0] = wide ? BigInt(value) : Number(value);
    // biome-ignore lint/suspicious/noDoubleEquals: a number and a bigint of equal value
    if (!isFloat && list[0] != value) return false;
    const start = this.reserve(VALUE_BYTES[type]);
    this.buffer.set(new Uint8Array(list.buffer), start);
    return true;
  }

  /** Makes room for `count` bytes, which are zero, and returns where they start. */
  private reserve(count: number): number {
    const start = this.byteLength;
    this.byteLength += count;
    if (this.byteLength > this.buffer.byteLength) {
      const larger = new Uint8Array(Math.max(this.byteLength, this.buffer.byteLength * 2));
      larger.set(this.buffer);
      this.buffer = larger;
      this.view = new DataView(larger.buffer);
    }
    return start;
  }
}
