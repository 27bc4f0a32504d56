import { BackendError } from '@frugal/tensor-core';
import { expect, it } from 'vitest';
import { tfTypes } from './binding.js';
import { DeviceLostError, DeviceMemoryError } from './errors.js';
import { explainFailure } from './failures.js';

const inputs = [{ shape: [2048, 4096], dtype: tfTypes.bf16 }];

it('knows full memory', () => {
  const said =
    'OOM when allocating tensor with shape[2048,151936] and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc';
  const error = explainFailure('MatMul', inputs, new Error(said));
  expect(error).toBeInstanceOf(DeviceMemoryError);
  expect(error.got).toBe('bf16 [2048, 4096]; no room for float [2048,151936]');
  expect(error.hint).toMatch(/tokens per step.*packed format/);
});

it('knows a device that failed', () => {
  const said = 'CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered';
  expect(explainFailure('MatMul', inputs, new Error(said))).toBeInstanceOf(DeviceLostError);
});

it('names an op that has no kernel', () => {
  const said =
    'Could not find device for node: {{node Erf}} = Erf[T=DT_INT8]\nAll kernels registered for op Erf';
  const error = explainFailure('Erf', [{ shape: [3], dtype: tfTypes.i8 }], new Error(said));
  expect(error).toBeInstanceOf(BackendError);
  expect(error.message).toContain("TensorFlow's Erf] TensorFlow has no kernel for these types: got i8 [3].");
});
