import type { OpSpecs, PackedLayout } from '@frugal/tensor-core';
import { type PackedActivation, parseIntegerGroups, parseSparse } from '@frugal/tensor-core/formats';

/** 16 rows side by side; native/kernels/packed-rows.hpp describes it and computes the same sizes. */
export const ROWS16 = 'rows16';

const PANEL = 16;
const BLOCK = 32;
const SUPER_BLOCKS = 8;

/** Numbers of `Scheme` in native/kernels/packed-rows.hpp. */
const schemes = [
  ...([
    'half',
    'half-min',
    'super-min',
    'super-16',
    'super-16-min',
    'group',
    'channel',
    'nf4',
    'nf4-nested',
  ] as const),
  ...(['fp8-block', 'fp8-channel', 'fp8-tensor', 'sparse-int8', 'sparse-bf16'] as const),
] as const;
type SchemeName = (typeof schemes)[number];

const scaleTypes = ['f16', 'bf16', 'f32'] as const;

interface Layout {
  readonly scheme: SchemeName;
  readonly bits: number;
  readonly table?: boolean;
  readonly group?: number;
  readonly scale?: (typeof scaleTypes)[number];
  readonly zeros?: boolean;
  readonly ordered?: boolean;
}

const fixed: Readonly<Record<string, Layout>> = {
  q8_0: { scheme: 'half', bits: 8 },
  q4_0: { scheme: 'half', bits: 4 },
  q5_0: { scheme: 'half', bits: 5 },
  iq4_nl: { scheme: 'half', bits: 4, table: true },
  q4_1: { scheme: 'half-min', bits: 4 },
  q5_1: { scheme: 'half-min', bits: 5 },
  q4_k: { scheme: 'super-min', bits: 4 },
  q5_k: { scheme: 'super-min', bits: 5 },
  q3_k: { scheme: 'super-16', bits: 3 },
  q6_k: { scheme: 'super-16', bits: 6 },
  q2_k: { scheme: 'super-16-min', bits: 2 },
  'int8-channel': { scheme: 'channel', bits: 8 },
  'nf4-plain': { scheme: 'nf4', bits: 4 },
  nf4: { scheme: 'nf4-nested', bits: 4 },
  'fp8-block128': { scheme: 'fp8-block', bits: 8 },
  'fp8-channel': { scheme: 'fp8-channel', bits: 8 },
  'fp8-tensor': { scheme: 'fp8-tensor', bits: 8 },
  '2:4-int8': { scheme: 'sparse-int8', bits: 4 },
  '2:4': { scheme: 'sparse-bf16', bits: 8 },
};

const known = new Map<string, Layout | null>(Object.entries(fixed));

/** Null for formats that have no such layout; groups must be whole blocks. */
function layoutOf(format: string): Layout | null {
  let layout = known.get(format);
  if (layout === undefined) {
    const shape = parseIntegerGroups(format);
    layout =
      shape && shape.group % BLOCK === 0
        ? {
            scheme: 'group',
            bits: shape.bits,
            group: shape.group,
            scale: shape.scale,
            zeros: shape.zeroPoints,
            ordered: shape.ordered,
          }
        : null;
    known.set(format, layout);
  }
  return layout;
}

/** Columns of NF4 that share a scale: only where rows are whole blocks do they begin with one. */
const NF4_BLOCK = 64;

export function rows16Layout(format: string, rows: number, columns: number): PackedLayout | null {
  const layout = layoutOf(format);
  if (!layout || (layout.scheme.startsWith('nf4') && columns % NF4_BLOCK !== 0)) return null;
  const panels = Math.ceil(rows / PANEL);
  return {
    name: ROWS16,
    byteLength: panels * panelBytes(layout, columns) + tailBytes(layout, rows, columns),
  };
}

/** What lies behind the panels. */
function tailBytes({ scheme, ordered }: Layout, rows: number, columns: number): number {
  switch (scheme) {
    case 'channel':
    case 'fp8-channel':
    case 'fp8-tensor':
    case 'sparse-int8':
      return Math.ceil(rows / PANEL) * PANEL * 4 + (ordered ? columns * 4 : 0);
    case 'nf4-nested': {
      const scales = (rows * columns) / NF4_BLOCK;
      return scales + Math.ceil(scales / 256) * 4 + 256 * 4 + 4;
    }
    default:
      return ordered ? columns * 4 : 0;
  }
}

function panelBytes({ scheme, bits, group = BLOCK, scale, zeros }: Layout, columns: number): number {
  const blocks = Math.ceil(columns / BLOCK);
  const codes = bits * 64;
  const supers = Math.ceil(blocks / SUPER_BLOCKS);
  switch (scheme) {
    case 'half':
      return blocks * (codes + 32);
    case 'half-min':
      return blocks * (codes + 64);
    case 'super-min':
    case 'super-16-min':
      return blocks * (codes + 32) + supers * 64;
    case 'super-16':
      return blocks * (codes + 32) + supers * 32;
    case 'group': {
      const header = PANEL * (scale === 'f32' ? 4 : 2) + (zeros ? PANEL : 0);
      return blocks * codes + Math.ceil(blocks / (group / BLOCK)) * header;
    }
    case 'nf4':
    case 'nf4-nested':
      return blocks * codes + Math.ceil(blocks / 2) * PANEL * 4;
    case 'fp8-block':
      return blocks * codes + Math.ceil(blocks / 4) * PANEL * 4;
    case 'sparse-int8':
    case 'sparse-bf16':
      return blocks * (codes + PANEL * 4);
    case 'channel':
    case 'fp8-channel':
    case 'fp8-tensor':
      return blocks * codes;
  }
}

/** The first attributes of every kernel of this layout: `matrix_of` in native/kernels/packed-rows.hpp. */
export function matrixAttributes(format: string, rows: number, columns: number): number[] {
  const layout = layoutOf(format) as Layout;
  const { scheme, bits, table, group = 0, scale = 'f16', zeros, ordered } = layout;
  const flags = [zeros, ordered].map(Number);
  return [
    ...[rows, columns, schemes.indexOf(scheme), bits, table ? 1 : 0, group, scaleTypes.indexOf(scale)],
    ...flags.map((flag) => flag || 0),
  ];
}

/** Numbers of `PartsKind` in native/kernels/packed-parts.cpp, and of `ValueType` in value-type.hpp. */
const partsKinds = ['nf4-plain', 'nf4', 'fp8', 'structured', 'bitmap', 'groups'] as const;
const valueTypes = ['f32', 'bf16', 'f16', 'int8'] as const;

/** Number of the type of a bitmap format's values; null for other formats. */
export function bitmapValues(format: string): number | null {
  const sparse = parseSparse(format);
  return sparse?.pattern === null ? valueTypes.indexOf(sparse.values) : null;
}

/** Attributes of the kernel that unpacks the parts of a format as they are; null for formats that it does not know. */
export function partsAttributes({ format, rows, columns, rowStart }: OpSpecs['unpack']): number[] | null {
  const call = (kind: (typeof partsKinds)[number], ...options: number[]) => [
    ...[partsKinds.indexOf(kind), rows, columns, rowStart],
    ...options,
  ];
  if (format === 'nf4' || format === 'nf4-plain') return call(format);
  if (format === 'fp8-tensor') return call('fp8', Math.max(1, rows), Math.max(1, columns));
  if (format === 'fp8-channel') return call('fp8', 1, Math.max(1, columns));
  if (format === 'fp8-block128') return call('fp8', 128, 128);
  const groups = parseIntegerGroups(format);
  if (groups) {
    const { scale, bits, group, zeroPoints, ordered } = groups;
    return call('groups', valueTypes.indexOf(scale), bits, group, Number(zeroPoints), Number(ordered));
  }
  const sparse = parseSparse(format);
  if (!sparse) return null;
  const type = valueTypes.indexOf(sparse.values);
  if (!sparse.pattern) return call('bitmap', type);
  const { n, m } = sparse.pattern;
  return call('structured', type, n, m, Math.ceil(Math.log2(m)));
}

/** Schemes whose codes stand for floats. */
const floatSchemes = new Set(schemes.slice(schemes.indexOf('nf4')));

/** Whether the kernel multiplies in this way: one scale per row of x needs one scale per row of the weight, and floats stay with floats. */
export function rows16Supports(format: string, activation: PackedActivation): boolean {
  if (floatSchemes.has((layoutOf(format) as Layout).scheme)) return activation === 'none';
  return activation !== 'int8' || format === 'int8-channel';
}

/** Numbers of activations in native/kernels/packed-rows.cpp. */
export const activationNumbers: Readonly<Record<PackedActivation, number>> = {
  none: 0,
  int8: 1,
  'int8-block32': 2,
};
