import { PackedTensor } from '../index.js';
import type { Module } from './module.js';

/** The packed weights among a module's own fields, and in their arrays; not those of modules below it. */
export function packedTensors(module: Module): PackedTensor[] {
  return Object.values(module)
    .flat()
    .filter((value) => value instanceof PackedTensor);
}
