import type { ByteSource } from '../byte-source.js';
import { readBytes } from '../byte-source.js';
import { type CheckpointErrorDetails, CheckpointFormatError } from '../errors.js';
import { decodeUtf8 } from '../json/json.js';

const WINDOW_BYTES = 2 ** 20;
/** No metadata are longer; without a limit, a hostile file of many tiny fields would fill the memory. */
const MAX_HEADER_BYTES = 2 ** 28;

/**
 * Reads a file from front to back through a window. `need(n)` brings the next n bytes into the window; what is there
 * is read without waiting.
 */
export class Cursor {
  private window = new Uint8Array(0);
  private view = new DataView(this.window.buffer);
  private windowStart = 0;
  private inside = 0;
  private readonly limit: number;

  constructor(private readonly source: ByteSource) {
    this.limit = Math.min(source.size, MAX_HEADER_BYTES);
  }

  /** Position in the file. */
  get position(): number {
    return this.windowStart + this.inside;
  }

  /** Bytes up to the end of the file or of what is read of it. */
  get remaining(): number {
    return this.limit - this.position;
  }

  /** Whether the next `byteLength` bytes are in the window. */
  has(byteLength: number): boolean {
    return this.inside + byteLength <= this.window.byteLength;
  }

  /** Brings the next `byteLength` bytes into the window; throws {@link CheckpointFormatError} when the file ends before. */
  async need(byteLength: number): Promise<void> {
    if (this.has(byteLength)) return;
    const start = this.position;
    if (!(byteLength <= this.remaining)) {
      this.fail('the file is truncated', {
        got: `${this.remaining} more bytes`,
        expected: String(byteLength),
      });
    }
    this.window = await readBytes(
      this.source,
      start,
      Math.min(Math.max(byteLength, WINDOW_BYTES), this.remaining),
    );
    this.view = new DataView(this.window.buffer);
    this.windowStart = start;
    this.inside = 0;
  }

  /** The next bytes, already in the window. Not a copy. */
  take(byteLength: number): Uint8Array {
    const bytes = this.window.subarray(this.inside, this.inside + byteLength);
    this.inside += byteLength;
    return bytes;
  }

  u32(): number {
    this.inside += 4;
    return this.view.getUint32(this.inside - 4, true);
  }

  u64(): bigint {
    this.inside += 8;
    return this.view.getBigUint64(this.inside - 8, true);
  }

  /** A 64-bit length of things that take at least `itemBytes` each: more than the file can hold is refused. */
  length(what: string, itemBytes: number): number {
    const at = this.position;
    const value = this.u64();
    const limit = Math.floor(this.remaining / itemBytes);
    if (value <= BigInt(limit)) return Number(value);
    return this.fail(
      `impossible ${what}`,
      { got: String(value), expected: `at most ${limit} in this file` },
      at,
    );
  }

  /** A string: 64-bit length and UTF-8 bytes. */
  async string(what: string): Promise<string> {
    await this.need(8);
    const byteLength = this.length(`length of ${what}`, 1);
    await this.need(byteLength);
    return this.text(byteLength);
  }

  /** The next string if all of it is in the window, so that there is nothing to wait for. */
  stringInWindow(): string | undefined {
    if (!this.has(8)) return undefined;
    const byteLength = Number(this.view.getBigUint64(this.inside, true));
    if (!this.has(8 + byteLength)) return undefined;
    this.inside += 8;
    return this.text(byteLength);
  }

  private text(byteLength: number): string {
    const at = this.position;
    return decodeUtf8(this.take(byteLength), this.source.name, at);
  }

  /** Throws a {@link CheckpointFormatError} about a position (default: here). */
  fail(what: string, facts: Partial<CheckpointErrorDetails> = {}, offset = this.position): never {
    throw new CheckpointFormatError({ file: this.source.name, offset, what, ...facts });
  }
}
