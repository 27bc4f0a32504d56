import { packedFormat } from '@frugal/tensor-core/formats';
import type { Value } from '../binding.js';
import type { Device } from '../device.js';

/** Which rows of a packed matrix are wanted. */
export type Rows = { readonly start: number; readonly count: number } | { readonly indices: Value };

/** Rows that share a scale in `fp8-block128`. */
const SCALE_ROWS = 128;

/** The parts of a packed matrix with the wanted rows alone; parts without an entry per row stay whole. */
export function selectRows(
  device: Device,
  format: string,
  parts: readonly Value[],
  totalRows: number,
  rows: Rows,
): Value[] {
  const { orderPart } = packedFormat(format);
  return parts.map((part, i) => {
    if (i === orderPart) return part;
    if (format === 'fp8-block128' && i === 1)
      return take(
        device,
        part,
        device.run('FloorDiv', [indicesOf(device, rows), device.scalar(SCALE_ROWS, 'i32')]),
      );
    if (part.shape[0] !== totalRows) return part;
    if ('indices' in rows) return take(device, part, rows.indices);
    const { start, count } = rows;
    return device.slice(part, [start, ...part.shape.slice(1).map(() => 0)], [count, ...part.shape.slice(1)]);
  });
}

function take(device: Device, part: Value, indices: Value): Value {
  return device.run('GatherV2', [part, indices, device.scalar(0, 'i32')]);
}

function indicesOf(device: Device, rows: Rows): Value {
  if ('indices' in rows) return rows.indices;
  const bounds = [rows.start, rows.start + rows.count, 1];
  return device.run(
    'Range',
    bounds.map((bound) => device.scalar(bound, 'i32')),
  );
}
