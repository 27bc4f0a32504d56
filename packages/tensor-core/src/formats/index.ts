import { ArgumentError } from '../errors.js';
import { anyLength, type PackedActivation, type PackedFormat } from './format.js';
import { fp8Block128, fp8Channel, fp8Tensor } from './fp8.js';
import { ggmlFormat } from './ggml/blocks.js';
import { type IntegerGroupParts, integerGroupsOf, readOnlyFormat } from './ggml/coded-blocks.js';
import * as gridBlocks from './ggml/grid-blocks.js';
import { iq4_nl, q4_0, q4_1, q5_0, q5_1, q8_0 } from './ggml/simple-blocks.js';
import { iq4_xs, mxfp4, nvfp4, tq1_0, tq2_0 } from './ggml/small-blocks.js';
import { q2_k, q3_k, q4_k, q5_k, q6_k } from './ggml/super-blocks.js';
import { int8Channel } from './int8-channel.js';
import { integerGroups, parseIntegerGroups } from './integer-groups.js';
import { nf4, nf4Plain } from './nf4.js';
import { parseSparse, sparse } from './sparse.js';
import { parseTurned, turnedFormat } from './turned.js';

export { packedLength, readCode, writeCode } from './bits.js';
export { firstNotFinite } from './finite.js';
export {
  anyLength,
  type PackedActivation,
  type PackedFormat,
  type PackOptions,
  type PartArray,
  type PartDType,
  type PartInfo,
  type UnpackRange,
} from './format.js';
export type { IntegerGroupParts } from './ggml/coded-blocks.js';
export { iq4Values } from './ggml/simple-blocks.js';
export {
  hadamardBlocks,
  hadamardMatrix,
  hadamardRows,
  kronecker,
  normalizedHadamard,
  type SquareMatrix,
  splitSize,
} from './hadamard.js';
export { columnWeights } from './importance.js';
export { int8Channel } from './int8-channel.js';
export { type IntegerGroups, integerGroupsName, parseIntegerGroups } from './integer-groups.js';
export { nf4NestedMap, nf4Values } from './nf4.js';
export { roundHalfEven } from './rounding.js';
export { e4m3Values, type FloatStorage, floatStorages, floatToE4m3 } from './small-float.js';
export { parseSparse, type Sparse } from './sparse.js';

const ggmlCodecs = [q8_0, q4_0, q4_1, q5_0, q5_1, q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl];

const fixedFormats = [
  int8Channel,
  ...ggmlCodecs.map(ggmlFormat),
  nf4,
  nf4Plain,
  fp8Tensor,
  fp8Channel,
  fp8Block128,
];

/** What GGUF files hold and nobody writes here. */
const readOnlyCodecs = [iq4_xs, mxfp4, nvfp4, tq1_0, tq2_0, ...Object.values(gridBlocks)];
const readOnly = new Map(readOnlyCodecs.map((codec) => [codec.name, readOnlyFormat(codec)]));

const formats = new Map<string, PackedFormat>(fixedFormats.map((format) => [format.name, format]));
/** Parametric formats that were asked for. */
const parsed = new Map<string, PackedFormat>();

interface Family {
  readonly grammar: string;
  parse(name: string): PackedFormat | null;
  readonly examples: readonly string[];
}

/** Names that stand for a family: its grammar, and a member for every case that differs in kind. */
const families: readonly Family[] = [
  {
    grammar: 'int{2|3|4|8}-g{columns}[-zero][-bf16|-f32][-order]',
    parse: (name: string) => {
      const shape = parseIntegerGroups(name);
      return shape && integerGroups(shape);
    },
    examples: [
      ...['int4-g128', 'int4-g32-zero', 'int3-g64', 'int2-g32-zero', 'int8-g128'],
      ...['int4-g128-bf16', 'int8-g48-zero-f32', 'int4-g128-zero-order'],
    ],
  },
  {
    grammar: '{n}:{m}[-f32|-f16|-int8], bitmap[-f32|-f16|-int8]',
    parse: (name: string) => {
      const shape = parseSparse(name);
      return shape && sparse(shape);
    },
    examples: ['2:4', '4:8', '2:4-f32', '3:5-f16', '2:4-int8', 'bitmap', 'bitmap-f32', 'bitmap-int8'],
  },
  {
    grammar: '{format}-hadamard',
    parse: (name: string) => {
      const inner = parseTurned(name);
      return inner === null ? null : turnedFormat(packedFormat(inner));
    },
    // None is listed: kernels are shown the inner format.
    examples: [],
  },
];

/**
 * The format of this name; names of integer groups and sparse patterns are read by their grammar.
 * @throws ArgumentError for an unknown name, with all that exist
 */
export function packedFormat(name: string): PackedFormat {
  const known = formats.get(name) ?? readOnly.get(name) ?? parsed.get(name);
  if (known) return known;
  for (const { parse } of families) {
    const format = parse(name);
    if (!format) continue;
    parsed.set(name, format);
    return format;
  }
  throw new ArgumentError({
    where: 'packedFormat',
    what: 'unknown packed format',
    got: name,
    expected: [...formats.keys(), ...readOnly.keys(), ...families.map(({ grammar }) => grammar)].join(', '),
    hint: 'Register your own with registerPackedFormat().',
  });
}

/** How activations are best quantised before a product with a weight of this format; see {@link PackedActivation}. */
export function recommendedActivation(name: string): PackedActivation {
  return packedFormat(name).activation;
}

/** Bytes of a matrix in a format; where sizes depend on the values, as many as if none were zero. */
export function packedByteLength(name: string, rows: number, columns: number): number {
  const widths = { f32: 4, i32: 4, bf16: 2, f16: 2, i8: 1, u8: 1 };
  const elements = (shape: readonly number[]) =>
    shape.reduce((product, size) => product * (size === anyLength ? rows * columns : size), 1);
  return packedFormat(name)
    .parts(rows, columns)
    .reduce((sum, { dtype, shape }) => sum + widths[dtype] * elements(shape), 0);
}

/** Whether a format is only read (`iq4_xs`, `iq2_xxs`, `mxfp4`, `tq1_0`, …). */
export function isReadOnlyFormat(name: string): boolean {
  return readOnly.has(name);
}

/** Names of all formats that {@link isReadOnlyFormat} knows. */
export function readOnlyFormatNames(): readonly string[] {
  return [...readOnly.keys()];
}

/**
 * Whole blocks of a format that is only read as integer groups of the same numbers, which kernels know.
 * @throws ArgumentError for other formats
 */
export function readAsIntegerGroups(name: string, blocks: Uint8Array): IntegerGroupParts {
  const codec = readOnlyCodecs.find((candidate) => candidate.name === name);
  if (codec) return integerGroupsOf(codec, blocks);
  throw new ArgumentError({
    where: 'readAsIntegerGroups',
    what: 'the format is not one that is only read',
    got: name,
    expected: [...readOnly.keys()].join(', '),
  });
}

/** Names of all formats that pack: fixed and registered ones, and examples of each family of parametric names. */
export function packedFormatNames(): readonly string[] {
  return [...new Set([...formats.keys(), ...families.flatMap(({ examples }) => examples)])];
}

/** Makes a format known by its name. @throws ArgumentError when the name is taken by another format */
export function registerPackedFormat(format: PackedFormat): void {
  const known =
    formats.get(format.name) ??
    readOnly.get(format.name) ??
    families.map(({ parse }) => parse(format.name)).find(Boolean);
  if (known && known !== format) {
    throw new ArgumentError({ where: 'registerPackedFormat', what: 'this name is taken', got: format.name });
  }
  formats.set(format.name, format);
}
