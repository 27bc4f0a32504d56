import { explainFailure } from '../failures.js';
import type { Libraries } from './library.js';
import { type Address, DEVICE_TO_HOST, HOST_TO_DEVICE, MALLOC_HUGE_FIRST, MEMORY_HBM } from './types.js';

const REPEAT_INITIALIZE = 100002;

const declarations = {
  aclInit: ['void *'],
  aclFinalize: [],
  aclrtGetVersion: ['void *', 'void *', 'void *'],
  aclrtGetDeviceCount: ['void *'],
  aclrtSetDevice: ['int32_t'],
  aclrtResetDevice: ['int32_t'],
  aclrtCreateStream: ['void *'],
  aclrtDestroyStream: ['void *'],
  aclrtSynchronizeStream: ['void *'],
  aclrtMalloc: ['void *', 'size_t', 'int'],
  aclrtFree: ['void *'],
  aclrtMemcpy: ['void *', 'size_t', 'void *', 'size_t', 'int'],
  aclrtMemcpyAsync: ['void *', 'size_t', 'void *', 'size_t', 'int', 'void *'],
  aclrtGetMemInfo: ['int', 'void *', 'void *'],
} as const;

type RuntimeFunction = keyof typeof declarations;

/**
 * libascendcl. All calls are made by the thread that made this object: contexts belong to threads, and so do the messages
 * of errors.
 */
export class Runtime {
  private readonly functions: Readonly<Record<RuntimeFunction, (...inputs: unknown[]) => number>>;
  private readonly recentMessage: () => string | null;
  private readonly socName: () => string | null;
  private readonly slot = new BigUint64Array(2);

  constructor(libraries: Libraries) {
    const entries = Object.entries(declarations).map(([name, parameters]) => [
      name,
      libraries.function(name, 'int', parameters),
    ]);
    this.functions = Object.fromEntries(entries);
    this.recentMessage = libraries.function('aclGetRecentErrMsg', 'const char *', []) as () => string | null;
    this.socName = libraries.function('aclrtGetSocName', 'const char *', []) as () => string | null;
  }

  /** @throws BackendError and its kinds when `status` is not 0; `got` says what the call was about */
  check(status: number, where: string, got = ''): void {
    if (status !== 0) throw explainFailure(where, status, this.message(), got);
  }

  /** What CANN says of the last failure, once. */
  message(): string {
    return (this.recentMessage() ?? '').replaceAll(/\s+/g, ' ').trim().slice(0, 400);
  }

  private call(name: RuntimeFunction, got: string, ...inputs: unknown[]): void {
    this.check(this.functions[name](...inputs), name, got);
  }

  /** Once per process; again does nothing. */
  initialize(): void {
    const status = this.functions.aclInit(null);
    if (status !== REPEAT_INITIALIZE) this.check(status, 'aclInit');
  }

  finalize(): void {
    this.call('aclFinalize', '');
  }

  /** `1.13.0`: of the interface, not of CANN. */
  version(): string {
    const parts = [0, 0, 0].map(() => new Int32Array(1));
    this.call('aclrtGetVersion', '', ...parts);
    return parts.map(([part]) => part).join('.');
  }

  deviceCount(): number {
    const count = new Uint32Array(1);
    this.call('aclrtGetDeviceCount', '', count);
    return count[0];
  }

  /** `Ascend910B1` */
  soc(): string {
    return this.socName() ?? 'unknown NPU';
  }

  setDevice(device: number): void {
    this.call('aclrtSetDevice', `device ${device}`, device);
  }

  resetDevice(device: number): void {
    this.call('aclrtResetDevice', `device ${device}`, device);
  }

  createStream(): Address {
    this.call('aclrtCreateStream', '', this.slot);
    return this.slot[0];
  }

  destroyStream(stream: Address): void {
    this.call('aclrtDestroyStream', '', stream);
  }

  /** Waits; throws the errors of the work that was waited for. */
  synchronize(stream: Address): void {
    this.call('aclrtSynchronizeStream', '', stream);
  }

  /** Null when there is no room. */
  allocate(byteLength: number): Address | null {
    if (this.functions.aclrtMalloc(this.slot, byteLength, MALLOC_HUGE_FIRST) === 0) return this.slot[0];
    this.message();
    return null;
  }

  free(address: Address): void {
    this.call('aclrtFree', '', address);
  }

  /** In the order of the stream; `bytes` may change afterwards. */
  upload(to: Address, bytes: Uint8Array, stream: Address): void {
    const { byteLength } = bytes;
    const got = `${byteLength} bytes`;
    this.call('aclrtMemcpyAsync', got, to, byteLength, bytes, byteLength, HOST_TO_DEVICE, stream);
  }

  /** At once: wait for the stream before. */
  download(into: Uint8Array, from: Address): void {
    const { byteLength } = into;
    this.call('aclrtMemcpy', `${byteLength} bytes`, into, byteLength, from, byteLength, DEVICE_TO_HOST);
  }

  memory(): { readonly free: number; readonly total: number } {
    this.call('aclrtGetMemInfo', '', MEMORY_HBM, this.slot, this.slot.subarray(1));
    return { free: Number(this.slot[0]), total: Number(this.slot[1]) };
  }
}
