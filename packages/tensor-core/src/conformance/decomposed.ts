import type { Backend, Storage } from '../backend.js';
import { type OpName, primitiveOps } from '../ops/specs.js';

/**
 * The same device without its fused kernels, so that core decomposes every fused op. Its storages are the inner
 * backend's, marked as belonging to this one.
 */
export function withoutFusedKernels(inner: Backend): Backend {
  const names: readonly string[] = primitiveOps;
  const adopt = (storage: Storage): Storage => Object.assign(storage, { backend });
  const backend: Backend = {
    name: `${inner.name} (decomposed)`,
    description: inner.description,
    capabilities: inner.capabilities,
    kernels: Object.fromEntries(Object.entries(inner.kernels).filter(([op]) => names.includes(op))),
    allocate: (byteLength) => adopt(inner.allocate(byteLength)),
    free: (storage) => inner.free(storage),
    upload: (bytes) => adopt(inner.upload(bytes)),
    read: (view) => inner.read(view),
    readSync: inner.readSync && ((view) => inner.readSync!(view)),
    synchronize: () => inner.synchronize(),
    supports: inner.supports && ((op: OpName, inputs, attributes) => inner.supports!(op, inputs, attributes)),
  };
  return backend;
}
