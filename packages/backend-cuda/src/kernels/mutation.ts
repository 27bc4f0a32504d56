import { bytesPerElement, isContiguous, sizeOf, type TensorView } from '@frugal/tensor-core';
import { type Attribute, attribute, type TfType } from '../binding.js';
import type { Device } from '../device.js';
import type { CudaStorage } from '../storage.js';
import { read, release, wholeValue, write } from '../views.js';
import type { Family } from './family.js';

/** TensorFlow's name for resources without a name: they go when their last handle is deleted. */
const ANONYMOUS = 'cd2c89b7-88b7-44c8-ad83-06c2a9158347';

const variableAttributes = new Map<string, readonly Attribute[]>();

function attributesOf(type: TfType, shape: readonly number[]): readonly Attribute[] {
  const key = `${type} ${shape.join()}`;
  const known = variableAttributes.get(key) ?? [
    attribute.string('shared_name', ANONYMOUS),
    attribute.string('container', ''),
    attribute.type('dtype', type),
    attribute.shape('shape', shape),
  ];
  variableAttributes.set(key, known);
  return known;
}

function isWhole({ shape, strides, storage, dtype }: TensorView): boolean {
  return isContiguous(shape, strides) && sizeOf(shape) * bytesPerElement(dtype) === storage.byteLength;
}

/** Makes the storage of a whole tensor a variable in the shape of the view, whose rows then change in place. */
function variableOf(device: Device, target: TensorView) {
  const place = target.storage as CudaStorage;
  if (place.variable?.shape.join() === target.shape.join()) return place.variable;
  const value = device.reshape(wholeValue(device, target), target.shape);
  const handle = device.run('VarHandleOp', [], attributesOf(target.dtype, target.shape));
  device.runAll('AssignVariableOp', [handle, value], 0);
  const taken = device.take(handle);
  release(device, place);
  place.variable = { handle: taken, shape: target.shape, dtype: value.dtype };
  return place.variable;
}

export const mutationKernels: Family<'assign' | 'writeRows'> = (device) => ({
  assign: ([target, value]) => write(device, target, read(device, value)),

  writeRows: ([target, indices, rows]) => {
    if (sizeOf(rows.shape) === 0) return;
    const updates = device.cast(read(device, rows), target.dtype);
    const where = read(device, indices);
    if (isWhole(target)) {
      device.runAll('ResourceScatterUpdate', [variableOf(device, target).handle, where, updates], 0);
      return;
    }
    const index = device.reshape(where, [where.shape[0], 1]);
    write(device, target, device.run('TensorScatterUpdate', [read(device, target), index, updates]));
  },
});
