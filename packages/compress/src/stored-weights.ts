import { type FloatDType, isFloating, noGrad, releasePages } from '@frugal/tensor-core';
import type { Model, Module } from '@frugal/tensor-core/nn';
import { packedWeightOf } from './module-state.js';
import type { Site } from './site.js';

/**
 * Gives the modules at some paths, and those below them, their parameters in the dtype that the model computes in: what lies
 * in a file in fewer bits must not be rounded to them again when a method changes it.
 */
export function widenWeights(model: Model & { computeDType?: FloatDType }, paths: Iterable<string>): void {
  if ((model.computeDType ?? 'f32') !== 'f32') return;
  for (const path of paths) {
    for (const parameter of model.module(path).parameters()) {
      const { value } = parameter;
      if (isFloating(value.dtype)) parameter.value = noGrad(() => value.cast('f32'));
    }
  }
}

/** The modules whose values a method may change when it works at a site; packing changes none of them. */
export function changedBy(site: Site): readonly string[] {
  switch (site.kind) {
    case 'linear':
      return [site.path, ...site.sharedWith];
    case 'norm-group':
      return [site.path, ...site.consumerPaths];
    case 'block': // looked at, or removed
    case 'cache':
      return [];
    default:
      return site.coupling.members.map(({ path }) => path);
  }
}

/** Gives back the memory of weights below a module that lie in files, and of copies of them in another dtype. */
export function releaseWeights(module: Module): void {
  for (const parameter of module.parameters()) {
    parameter.clearCopy();
    releasePages(parameter.value);
  }
  for (const [, below] of module.namedModules())
    for (const part of packedWeightOf(below)?.parts ?? []) releasePages(part);
}
