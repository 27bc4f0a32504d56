import { ArgumentError, bytesPerElement, type Tensor } from '@frugal/tensor-core';
import { type CausalLM, type LinearLike, PackedLinear } from '@frugal/tensor-core/nn';
import type { ExpertMemory, StoredExpert } from './expert-memory.js';
import { ExpertResidence } from './expert-residence.js';
import type { Experts } from './experts.js';
import { mixturesOf } from './inspect.js';

/**
 * From now on no more experts of the model are in memory than `memory` allows. Their weights must lie in mapped files, each
 * expert with layers of its own; they leave memory at once.
 * @throws ArgumentError when the model has no experts, or their weights are not in mapped files
 */
export function limitExperts(model: CausalLM, memory: ExpertMemory): void {
  const layers = mixturesOf(model);
  const stored = layers.map(({ experts, path }) => storedExperts(experts, path));
  for (const [l, { experts }] of layers.entries()) {
    for (const expert of stored[l]) expert.release();
    const next = layers[l + 1]?.router ?? null;
    experts.keepIn(new ExpertResidence(memory, memory.addLayer(stored[l]), next));
  }
}

/** The memory that the experts of a model are kept in; null when all stay. */
export function expertMemoryOf(model: CausalLM): ExpertMemory | null {
  const [first] = mixturesOf(model);
  return first.experts.residence?.memory ?? null;
}

function storedExperts({ stacks }: Experts, path: string): StoredExpert[] {
  return stacks[0].sites.map((_, e) => {
    const places = stacks.flatMap((stack) => tensorsOf(stack.site(e))).map((tensor) => placeOf(tensor, path));
    return {
      bytes: places.reduce((sum, { length }) => sum + length, 0),
      fetch() {
        for (const { storage, start, length } of places) storage.prefetch?.(start, length);
      },
      release() {
        for (const { storage, start, length } of places) storage.discard?.(start, length, { cached: true });
      },
    };
  });
}

function tensorsOf(site: LinearLike): readonly Tensor[] {
  return site instanceof PackedLinear ? site.weight.parts : site.parameters().map(({ value }) => value);
}

function placeOf({ storage, offset, size, dtype }: Tensor, path: string) {
  if (!storage.prefetch)
    throw new ArgumentError({
      where: path,
      what: 'experts can only leave memory when their weights lie in a mapped file',
      got: `memory of the backend ${storage.backend.name}`,
      hint: 'Load the model with an expert memory, on a backend that maps files (cpu).',
    });
  const width = bytesPerElement(dtype);
  return { storage, start: offset * width, length: size * width };
}
