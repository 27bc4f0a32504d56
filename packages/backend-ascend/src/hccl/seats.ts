import { hostname } from 'node:os';
import { type Collective, fromBytes, referenceBackend } from '@frugal/tensor-core';
import { AscendUnavailableError } from '../errors.js';

/** Bytes of a machine's name and a device, filled up with zeros. */
const SEAT_BYTES = 256;

/** A device as the driver numbers it, whatever a process sees of them. */
export function physicalDevice(index: number, visible = process.env.ASCEND_RT_VISIBLE_DEVICES): string {
  return visible?.split(',')[index]?.trim() || String(index);
}

/**
 * HCCL wants a device for each rank, and says no more than that something is wrong when two share one.
 * @throws AscendUnavailableError on every rank, naming the ranks and their device
 */
export async function requireOwnDevices(base: Collective, index: number): Promise<void> {
  const bytes = new Uint8Array(SEAT_BYTES);
  new TextEncoder().encodeInto(`device ${physicalDevice(index)} of ${hostname()}`, bytes);
  const own = fromBytes(bytes, { shape: [SEAT_BYTES], dtype: 'u8', backend: referenceBackend() });
  const [all] = await base.allGather([own]);
  const text = new TextDecoder().decode(await all.bytes());
  for (const one of [own, all]) one.dispose();
  const seats = Array.from({ length: base.size }, (_, rank) =>
    text.slice(rank * SEAT_BYTES, (rank + 1) * SEAT_BYTES).replace(/\0+$/, ''),
  );
  const second = seats.findIndex((seat, rank) => seats.indexOf(seat) < rank);
  if (second < 0) return;
  throw new AscendUnavailableError({
    where: 'hccl',
    what: 'two processes would share one device',
    got: `ranks ${seats.indexOf(seats[second])} and ${second}, both on ${seats[second]}`,
    expected: 'a device for each rank',
    hint: 'Give each rank its own: FRUGAL_ASCEND_DEVICE, or ASCEND_RT_VISIBLE_DEVICES.',
  });
}
