import { ArgumentError } from '../errors.js';
import type { PackedFormat } from './format.js';
import { int8Channel } from './int8-channel.js';

export type { PackedFormat, PartArray, PartDType, PartInfo, UnpackRange } from './format.js';
export { int8Channel } from './int8-channel.js';
export { roundHalfEven } from './rounding.js';

const formats = new Map<string, PackedFormat>([int8Channel].map((format) => [format.name, format]));

/** @throws ArgumentError for an unknown name, with the known ones */
export function packedFormat(name: string): PackedFormat {
  const format = formats.get(name);
  if (format) return format;
  throw new ArgumentError({
    where: 'packedFormat',
    what: 'unknown packed format',
    got: name,
    expected: [...formats.keys()].join(', '),
    hint: 'Register your own with registerPackedFormat().',
  });
}

/** Names of all known formats. */
export function packedFormatNames(): readonly string[] {
  return [...formats.keys()];
}

/** Makes a format known by its name. @throws ArgumentError when the name is taken by another format */
export function registerPackedFormat(format: PackedFormat): void {
  const known = formats.get(format.name);
  if (known && known !== format) {
    throw new ArgumentError({ where: 'registerPackedFormat', what: 'this name is taken', got: format.name });
  }
  formats.set(format.name, format);
}
