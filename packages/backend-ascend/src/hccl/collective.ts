import {
  bytesPerElement,
  type Collective,
  concat,
  fill,
  fromBytes,
  keep,
  noGrad,
  referenceBackend,
  scope,
  type Tensor,
} from '@frugal/tensor-core';
import type { AscendBackend } from '../backend.js';
import { AscendUnavailableError } from '../errors.js';
import { findInstallation } from '../installation.js';
import type { AscendStorage } from '../storage.js';
import { Communicator, type Elements } from './library.js';
import { requireOwnDevices } from './seats.js';

/** A {@link Collective} over HCCL; leave it with `close`. */
export interface HcclCollective extends Collective {
  /** Gives the communicator back, on every rank, before the backend is closed. */
  close(): void;
}

/**
 * Joins the NPUs of all ranks of `base` (one process and one device each) into one communicator. Tensors on `backend` go
 * from device to device through HCCL, enqueued, without the host; all others go through `base`, which also tells the ranks
 * where to meet. Every rank must call it.
 * @throws AscendUnavailableError without libhccl, or when two ranks share a device; AscendDeviceError when the ranks do not find one another
 */
export async function hcclCollective(backend: AscendBackend, base: Collective): Promise<HcclCollective> {
  const installation = findInstallation();
  if (!installation)
    throw new AscendUnavailableError({
      where: 'hccl',
      what: 'CANN is not found',
      hint: 'Run `source set_env.sh`.',
    });
  await requireOwnDevices(base, backend.device.index);
  // Sums in one order: read by HCCL when it starts.
  process.env.HCCL_DETERMINISTIC ??= 'true';
  const communicator = Communicator.load(installation, backend.device.stream);
  const host = referenceBackend();
  const info = communicator.rootInfo();
  const own = fromBytes(info, { shape: [info.length], dtype: 'u8', backend: host });
  const [shared] = await base.broadcast([own], 0);
  communicator.join(await shared.bytes(), base.rank, base.size);
  for (const one of [own, shared]) one.dispose();
  return new DeviceCollective(backend, base, communicator);
}

class DeviceCollective implements HcclCollective {
  private bytes = 0;

  constructor(
    private readonly backend: AscendBackend,
    private readonly base: Collective,
    private readonly communicator: Communicator,
  ) {}

  get rank(): number {
    return this.base.rank;
  }
  get size(): number {
    return this.base.size;
  }
  get received(): number {
    return this.bytes + this.base.received;
  }

  async allReduce(values: readonly Tensor[]): Promise<Tensor[]> {
    if (!this.isHere(values)) return this.base.allReduce(values);
    return this.run(
      values,
      (value) => value.shape,
      1,
      (from, to) => this.communicator.allReduce(from, to),
    );
  }

  async broadcast(values: readonly Tensor[], root: number): Promise<Tensor[]> {
    if (!this.isHere(values)) return this.base.broadcast(values, root);
    const copies = noGrad(() => values.map((value) => scope(() => keep(value.copy()))));
    for (const copy of copies) if (copy.size > 0) this.communicator.broadcast(elementsOf(copy), root);
    if (this.rank !== root) this.count(values, 1);
    this.communicator.check();
    return copies;
  }

  async allGather(values: readonly Tensor[]): Promise<Tensor[]> {
    if (!this.isHere(values)) return this.base.allGather(values);
    const stacked = ({ shape }: Tensor) => [this.size, ...shape];
    return this.run(values, stacked, this.size - 1, (from, to) => this.communicator.allGather(from, to));
  }

  async allToAll(values: readonly Tensor[]): Promise<Tensor[]> {
    // Only the lengths, which each rank knows of its own alone, go through the host.
    const isHere = this.isHere(values);
    const sent = values.map(({ size }) => size);
    const got = await this.lengths(sent, isHere);
    if (!isHere || !got) return this.base.allToAll(values);
    const { dtype } = values[0];
    const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);
    const parts = noGrad(() =>
      scope(() => {
        const from = concat(values);
        const to = fill({ shape: [total(got)], dtype }, 0, this.backend);
        if (total(sent) + total(got) > 0)
          this.communicator.allToAll(elementsOf(from), sent, elementsOf(to), got);
        let next = 0;
        return got.map((count) => {
          next += count;
          return keep(to.slice(0, next - count, next).copy());
        });
      }),
    );
    this.bytes += (total(got) - got[this.rank]) * bytesPerElement(dtype);
    this.communicator.check();
    return parts;
  }

  /** How many elements come from each rank; null when one of them has its values elsewhere. */
  private async lengths(sent: readonly number[], isHere: boolean): Promise<readonly number[] | null> {
    const told = fromBytes(new Uint8Array(Int32Array.from([...sent, Number(isHere)]).buffer), {
      shape: [this.size + 1],
      dtype: 'i32',
      backend: referenceBackend(),
    });
    const [all] = await this.base.allGather([told]);
    const numbers = await all.toInt32();
    for (const one of [told, all]) one.dispose();
    const rows = Array.from({ length: this.size }, (_, rank) =>
      numbers.subarray(rank * (this.size + 1), (rank + 1) * (this.size + 1)),
    );
    return rows.every((row) => row[this.size] === 1) ? rows.map((row) => row[this.rank]) : null;
  }

  async barrier(): Promise<void> {
    await this.backend.synchronize();
    this.communicator.check();
    await this.base.barrier();
  }

  close(): void {
    this.communicator.close();
  }

  /** Work that reads each value and fills a new tensor. */
  private run(
    values: readonly Tensor[],
    shapeOf: (value: Tensor) => readonly number[],
    shares: number,
    work: (from: Elements, to: Elements) => void,
  ): Tensor[] {
    const results = noGrad(() =>
      scope(() =>
        values.map((value) => {
          const result = keep(fill({ shape: shapeOf(value), dtype: value.dtype }, 0, this.backend));
          if (value.size > 0) work(elementsOf(value.contiguous()), elementsOf(result));
          return result;
        }),
      ),
    );
    this.count(values, shares);
    this.communicator.check();
    return results;
  }

  private isHere(values: readonly Tensor[]): boolean {
    return values.every(({ backend }) => backend === this.backend);
  }

  private count(values: readonly Tensor[], shares: number): void {
    for (const { size, dtype } of values) this.bytes += shares * size * bytesPerElement(dtype);
  }
}

function elementsOf(tensor: Tensor): Elements {
  const { address } = (tensor.storage as AscendStorage).block;
  return {
    address: address + BigInt(tensor.offset * bytesPerElement(tensor.dtype)),
    count: tensor.size,
    dtype: tensor.dtype,
  };
}
