import { fp8Unpackers } from './fp8.js';
import { ggmlUnpacker } from './ggml.js';
import { int8ChannelUnpacker, integerGroupsUnpacker } from './integers.js';
import type { Unpacker } from './unpacker.js';

export type { Unpacker } from './unpacker.js';

/** Null for formats that go through the host. */
export function unpackerOf(format: string): Unpacker | null {
  if (format === 'int8-channel') return int8ChannelUnpacker;
  return fp8Unpackers[format] ?? ggmlUnpacker(format) ?? integerGroupsUnpacker(format);
}
