import { bytesInTurn, type Model, Module } from '@frugal/tensor-core/nn';
import type { FormerPaths } from './former-paths.js';

/** A block, or a part of the model beside the blocks: embedding, norm, head. */
export interface LayerBytes {
  /** As it was before the first stage; '' for what the model holds itself. */
  readonly path: string;
  readonly bytesBefore: number;
  /** 0 for blocks that were removed. */
  readonly bytesAfter: number;
}

/**
 * Bytes of parameters, buffers and packed weights of each block and each part beside them, in the order of the model. What two
 * parts share counts for the first of them: together they are as large as the model.
 */
export function bytesByLayer(model: Model): Map<string, number> {
  const parts = [...model.members(), ['', model] as const].flatMap(([path, part]) =>
    part instanceof Module ? [{ path, part }] : [],
  );
  const bytes = bytesInTurn(parts.map(({ part }) => part));
  const sized = parts.map(({ path }, i) => [path, bytes[i]] as const);
  return new Map(sized.filter(([path, size]) => path !== '' || size > 0));
}

/** What became of each layer. A part that is new, such as a head that no longer shares the embedding, had no bytes before. */
export function layerChanges(
  before: ReadonlyMap<string, number>,
  now: ReadonlyMap<string, number>,
  paths: FormerPaths,
): LayerBytes[] {
  const after = new Map([...now].map(([path, bytes]) => [paths.of(path), bytes]));
  return [...new Set([...before.keys(), ...after.keys()])].map((path) => ({
    path,
    bytesBefore: before.get(path) ?? 0,
    bytesAfter: after.get(path) ?? 0,
  }));
}
