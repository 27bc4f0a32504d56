import type { OpSpecs, PackedLayout } from '@frugal/tensor-core';
import { type PackedActivation, parseIntegerGroups, parseSparse } from '@frugal/tensor-core/formats';

/** 16 rows side by side; native/kernels/packed-rows.hpp describes it and computes the same sizes. */
export const ROWS16 = 'rows16';

const PANEL = 16;
const BLOCK = 32;
const SUPER_BLOCKS = 8;

/** Numbers of `Scheme` in native/kernels/packed-rows.hpp. */
const schemes = ['half', 'half-min', 'super-min', 'super-16', 'super-16-min', 'group', 'channel'] as const;
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

export function rows16Layout(format: string, rows: number, columns: number): PackedLayout | null {
  const layout = layoutOf(format);
  if (!layout) return null;
  const panels = Math.ceil(rows / PANEL);
  const tail = (layout.scheme === 'channel' ? panels * PANEL * 4 : 0) + (layout.ordered ? columns * 4 : 0);
  return { name: ROWS16, byteLength: panels * panelBytes(layout, columns) + tail };
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
    case 'channel':
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

/** Numbers of `PartsKind` and `ValueType` in native/kernels/packed-parts.cpp. */
const partsKinds = ['nf4-plain', 'nf4', 'fp8', 'structured', 'bitmap', 'groups'] as const;
const valueTypes = ['f32', 'bf16', 'f16', 'int8'] as const;

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

/** Whether the kernel multiplies in this way: one scale per row of x needs one scale per row of the weight. */
export function rows16Supports(format: string, activation: PackedActivation): boolean {
  return activation !== 'int8' || format === 'int8-channel';
}

/** Numbers of activations in native/kernels/packed-rows.cpp. */
export const activationNumbers: Readonly<Record<PackedActivation, number>> = {
  none: 0,
  int8: 1,
  'int8-block32': 2,
};
