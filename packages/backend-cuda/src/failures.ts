import { BackendError, formatShape } from '@frugal/tensor-core';
import { typeName, type Value } from './binding.js';
import { DeviceLostError, DeviceMemoryError } from './errors.js';

type Info = Pick<Value, 'shape' | 'dtype'>;

/** `f32 [2, 3], i32 []` */
export function describeValues(values: readonly Info[]): string {
  return values.map(({ shape, dtype }) => `${typeName(dtype)} ${formatShape(shape)}`).join(', ');
}

/** What TensorFlow said of an op that failed, as an error that says what to do. */
export function explainFailure(op: string, inputs: readonly Info[], cause: Error): BackendError {
  const said = cause.message.replaceAll(/\s+/g, ' ');
  const got = inputs.length > 0 ? describeValues(inputs) : 'no inputs';
  const where = `cuda backend, TensorFlow's ${op}`;
  if (/\bOOM\b|out of memory|RESOURCE_EXHAUSTED|failed to allocate/i.test(said)) {
    const wanted = /shape\s?(\[[\d,\s]*\]) and type (\w+)/.exec(said);
    return new DeviceMemoryError({
      where,
      what: 'the memory of the device is used up',
      got: `${got}${wanted ? `; no room for ${wanted[2]} ${wanted[1]}` : ''}`,
      hint:
        'Lower the tokens per step (and accumulate gradients), the length of the sequences or the size of the cache, or use a ' +
        'packed format for the weights. Another process may also hold memory: see nvidia-smi.',
      cause,
    });
  }
  if (
    /CUDA_ERROR|device.*lost|illegal (memory )?access|launch failed|Xid|unspecified launch failure/i.test(
      said,
    )
  ) {
    return new DeviceLostError({
      where,
      what: 'the device failed',
      got: `${said.slice(0, 300)} (${got})`,
      hint: 'Start the process again and resume from the last checkpoint; if it comes back, look at dmesg for Xid messages.',
      cause,
    });
  }
  const unsupported =
    /Could not find device for node|No OpKernel was registered|not in the list of allowed values/.test(said);
  return new BackendError({
    where,
    what: unsupported
      ? 'TensorFlow has no kernel for these types'
      : `TensorFlow refused it: ${said.slice(0, 300)}`,
    got,
    hint: unsupported ? 'Cast the tensors to f32.' : undefined,
    cause,
  });
}
