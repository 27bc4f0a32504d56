import { type Backend, Storage } from '../backend.js';

/** Memory that JavaScript owns. The garbage collector takes it back even inside a synchronous loop. */
export class HostStorage extends Storage {
  constructor(
    backend: Backend,
    readonly buffer: ArrayBuffer,
  ) {
    super(backend, buffer.byteLength);
  }
}
