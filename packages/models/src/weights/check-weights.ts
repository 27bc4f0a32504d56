import type { Checkpoint } from '@frugal/checkpoint';
import { formatShape, sameShape } from '@frugal/tensor-core';
import type { Model } from '@frugal/tensor-core/nn';
import { ModelConfigError } from '../config-reader.js';
import type { PackedModule } from '../load.js';
import type { DensePart } from './dense-parts.js';
import { tensorDTypes } from './stored-tensors.js';
import { isKnownFormat, type WeightSource } from './weight-source.js';

/** @throws ModelConfigError that lists all missing, surplus, misshapen and unreadable weights at once */
export function checkWeights(
  checkpoint: Checkpoint,
  source: WeightSource,
  model: Model,
  dense: ReadonlyMap<string, DensePart>,
  packed: ReadonlyMap<string, PackedModule>,
): void {
  const problems = [
    ...denseProblems(checkpoint, source, dense),
    ...packedProblems(packed),
    ...surplus(checkpoint, source, model, dense, packed),
  ];
  if (problems.length === 0) return;
  const shown = problems.slice(0, 20).join('; ');
  throw new ModelConfigError({
    where: checkpoint.path,
    what: `the weights do not fit the config in ${problems.length} places`,
    got: problems.length > 20 ? `${shown}; and ${problems.length - 20} more` : shown,
    hint: 'Check that config.json belongs to these weights.',
  });
}

function denseProblems(
  { tensors }: Checkpoint,
  source: WeightSource,
  dense: ReadonlyMap<string, DensePart>,
): string[] {
  return [...dense].flatMap(([path, { shape }]) => {
    const name = source.nameOf(path);
    if (name === undefined) return [`${path} has no name in this kind of file`];
    const entry = tensors.entries.get(name);
    if (!entry) return [`missing ${name} ${formatShape(shape)}`];
    if (!sameShape(entry.shape, shape))
      return [`${name} is ${formatShape(entry.shape)}, the config says ${formatShape(shape)}`];
    return entry.dtype in tensorDTypes ? [] : [`${name} has dtype ${entry.dtype}`];
  });
}

function packedProblems(packed: ReadonlyMap<string, PackedModule>): string[] {
  return [...packed.values()].flatMap(({ matrix }) =>
    isKnownFormat(matrix.format)
      ? matrix.problems
      : [`${matrix.tensors[0]} has the unknown format ${matrix.format}`],
  );
}

function surplus(
  { tensors }: Checkpoint,
  source: WeightSource,
  model: Model,
  dense: ReadonlyMap<string, DensePart>,
  packed: ReadonlyMap<string, PackedModule>,
): string[] {
  const used = new Set([
    ...[...dense.keys()].map((path) => source.nameOf(path)),
    ...[...packed.values()].flatMap(({ matrix }) => matrix.tensors),
  ]);
  // A tied head may be stored as well.
  const tied = model.ties.flatMap(({ path }) => source.nameOf(path) ?? []);
  const unknown = [...tensors.entries.keys()].filter(
    (name) => !used.has(name) && !tied.some((head) => name.startsWith(head)) && !source.isOptional(name),
  );
  return unknown.map((name) => `unknown ${name}`);
}
