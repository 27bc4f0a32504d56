import { type ByteSource, readBytes } from '../byte-source.js';
import { CheckpointFormatError } from '../errors.js';
import { decodeUtf8 } from '../json/json.js';

const WINDOW_BYTES = 2 ** 16;
const MAX_TEXT_BYTES = 2 ** 28;

/** Reads a pickle from front to back; long bytes are skipped, not read. */
export class PickleReader {
  private window = new Uint8Array(0);
  private windowStart = 0;
  position = 0;

  constructor(private readonly source: ByteSource) {}

  async byte(): Promise<number> {
    return (await this.take(1))[0];
  }
  /** An unsigned little-endian number; beyond 2^53 it is only known to be large. */
  async long(byteLength: number): Promise<number> {
    const bytes = await this.take(byteLength);
    return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
  }
  /** A signed number of a few bytes. */
  async signed(byteLength: number): Promise<number> {
    if (byteLength === 0) return 0;
    if (byteLength > 8) this.fail('a number is too long', `${byteLength} bytes`);
    const bytes = await this.take(byteLength);
    const value = bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
    return bytes[byteLength - 1] > 127 ? value - 256 ** byteLength : value;
  }
  async double(): Promise<number> {
    const bytes = await this.take(8);
    return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, false);
  }
  async text(byteLength: number): Promise<string> {
    if (byteLength > MAX_TEXT_BYTES) this.fail('a text is too long', `${byteLength} bytes`);
    const at = this.position;
    return decodeUtf8(await this.take(byteLength), this.source.name, at);
  }
  /** Text up to the next line end. */
  async line(): Promise<string> {
    let text = '';
    for (let next = await this.byte(); next !== 10; next = await this.byte()) {
      text += String.fromCharCode(next);
      if (text.length > 200) this.fail('a name is too long');
    }
    return text;
  }
  /** Passes over bytes and returns where they start. */
  skip(byteLength: number): number {
    const start = this.position;
    if (!(byteLength <= this.source.size - start))
      this.fail('the file is truncated', `${byteLength} bytes to come`);
    this.position += byteLength;
    return start;
  }

  private async take(byteLength: number): Promise<Uint8Array> {
    const left = this.source.size - this.position;
    if (!(byteLength <= left)) this.fail('the file is truncated', `${left} more bytes`);
    const inside = this.position - this.windowStart;
    if (inside < 0 || inside + byteLength > this.window.length) {
      this.window = await readBytes(
        this.source,
        this.position,
        Math.min(left, Math.max(byteLength, WINDOW_BYTES)),
      );
      this.windowStart = this.position;
    }
    const start = this.position - this.windowStart;
    this.position += byteLength;
    return this.window.subarray(start, start + byteLength);
  }

  private fail(what: string, got?: string): never {
    throw new CheckpointFormatError({
      file: this.source.name,
      offset: this.position,
      what,
      ...(got && { got }),
    });
  }
}
