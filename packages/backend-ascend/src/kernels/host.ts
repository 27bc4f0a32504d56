import {
  contiguousStrides,
  isContiguous,
  type Kernel,
  type OpName,
  referenceBackend,
  type TensorView,
} from '@frugal/tensor-core';
import { type Device, operandOf } from '../device.js';
import type { Family } from './family.js';

/**
 * Runs an op of the reference backend: its inputs are waited for and copied to the host, its results back. Slow, and the
 * right values.
 */
export function onHost<N extends OpName>(device: Device, op: N): Kernel<N> {
  return (inputs, outputs, attributes) => {
    const host = referenceBackend();
    const kernel = host.kernels[op] as Kernel<N>;
    const copies = inputs.map((view): TensorView => {
      const storage = host.upload(device.download(operandOf(view)));
      return {
        shape: view.shape,
        dtype: view.dtype,
        strides: contiguousStrides(view.shape),
        offset: 0,
        storage,
      };
    });
    const results = outputs.map((view): TensorView => {
      const storage = host.allocate(view.storage.byteLength);
      return { ...view, storage };
    });
    kernel(copies, results, attributes);
    for (const [i, view] of outputs.entries()) uploadInto(device, view, host.readSync!(results[i]));
  };
}

/** Outputs are contiguous and alone in their storage. */
function uploadInto(device: Device, view: TensorView, bytes: Uint8Array): void {
  if (view.offset !== 0 || !isContiguous(view.shape, view.strides))
    throw new TypeError('an output of core is contiguous');
  device.upload(operandOf(view).address, bytes);
}

/**
 * What CANN does not have as Frugal defines it: random numbers are Philox4x32-10 words in an order of their own, the same
 * on every backend; `cholesky` and `triangularSolve` compute in f64 and give NaN from a failing pivot on.
 */
export const hostKernels: Family<'randomUniform' | 'randomNormal' | 'cholesky' | 'triangularSolve'> = (
  device,
) => ({
  randomUniform: onHost(device, 'randomUniform'),
  randomNormal: onHost(device, 'randomNormal'),
  cholesky: onHost(device, 'cholesky'),
  triangularSolve: onHost(device, 'triangularSolve'),
});
