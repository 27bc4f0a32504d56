import {
  type Backend,
  BackendError,
  HostStorage,
  type Kernels,
  referenceBackend,
  type Storage,
  type TensorView,
} from '@frugal/tensor-core';

/**
 * The reference backend once more, as a device of its own without fused optimizers, whose memory can be made to end at a certain
 * request.
 */
export class SmallDevice implements Backend {
  readonly name = 'small device';
  readonly description = 'a device that is out of memory when a test says so';
  readonly kernels: Kernels;
  readonly capabilities = { ...referenceBackend().capabilities, memory: 'device' as const };
  /** Requests for memory so far. */
  requests = 0;
  /** The request that fails. */
  failing = Number.POSITIVE_INFINITY;

  constructor() {
    const { adamw: _, adamw8bit: __, ...others } = referenceBackend().kernels;
    this.kernels = others as Kernels;
  }

  allocate(byteLength: number): Storage {
    this.request(byteLength);
    return new HostStorage(this, new ArrayBuffer(byteLength));
  }
  upload(bytes: Uint8Array): Storage {
    this.request(bytes.byteLength);
    return new HostStorage(this, new Uint8Array(bytes).buffer);
  }
  free(): void {}
  read(view: TensorView): Promise<Uint8Array> {
    return referenceBackend().read(view);
  }
  readSync(view: TensorView): Uint8Array {
    return (referenceBackend().readSync as NonNullable<Backend['readSync']>)(view);
  }
  async synchronize(): Promise<void> {}

  private request(byteLength: number): void {
    if (++this.requests !== this.failing) return;
    throw new BackendError({ where: this.name, what: 'the memory is used up', got: `${byteLength} bytes` });
  }
}
