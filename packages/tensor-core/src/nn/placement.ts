import { ArgumentError, type Backend, type Tensor, transfer } from '../index.js';
import type { CausalLM, StepContext } from './model.js';
import type { Module } from './module.js';
import { packedTensors } from './packed-tensors.js';
import type { StepBatch } from './step-batch.js';

/** Blocks first … last of a model, and what computes them. */
export interface BlockPlace {
  readonly first: number;
  readonly last: number;
  readonly backend: Backend;
}

/**
 * Spreads the blocks of a model over several backends, as many as fit on a small card and the rest beside it; embedding,
 * final norm and head stay where they are. Hidden states, and gradients, cross over between blocks.
 * @throws ArgumentError for blocks that do not exist, or that two places claim
 */
export async function placeBlocks(model: CausalLM, places: readonly BlockPlace[]): Promise<void> {
  const home = homeOf(model);
  const placement: Backend[] = model.blocks.map(() => home);
  const claimed = new Set<number>();
  for (const { first, last, backend } of places) {
    const isRange = [first, last].every(Number.isInteger) && 0 <= first && first <= last;
    if (!isRange || last >= model.blocks.length) {
      throw new ArgumentError({
        where: 'placeBlocks',
        what: 'no such blocks',
        got: `${first} to ${last}`,
        expected: `0 to ${model.blocks.length - 1}, the first before the last`,
      });
    }
    for (let i = first; i <= last; i++) {
      if (claimed.has(i)) {
        throw new ArgumentError({ where: 'placeBlocks', what: `block ${i} is placed twice` });
      }
      claimed.add(i);
      placement[i] = backend;
    }
  }
  for (const [i, block] of model.blocks.entries()) await moveModule(block, placement[i]);
  model.placement = placement.every((backend) => backend === home) ? undefined : placement;
}

/** The backend of a model's embedding and head: what steps are made on. */
export function homeOf(model: CausalLM): Backend {
  for (const place of [model.embed, model.head]) {
    const [parameter] = place.parameters();
    if (parameter) return parameter.value.backend;
    for (const weight of packedTensors(place)) return weight.backend;
  }
  return model.parameters()[0].value.backend;
}

/** Moves parameters, buffers and packed weights into the memory of another backend; packed ones stay packed. */
export async function moveModule(module: Module, backend: Backend): Promise<void> {
  for (const [, parameter] of module.namedParameters()) parameter.value = await parameter.value.to(backend);
  for (const [, buffer] of module.namedBuffers()) buffer.value = await buffer.value.to(backend);
  for (const [, part] of module.namedModules())
    for (const weight of packedTensors(part)) await weight.moveTo(backend);
}

const copies = new WeakMap<StepContext, Map<Backend, StepContext>>();

/**
 * What blocks of another backend see of a step: the same, copied once. Make it outside of scopes that end with a block.
 * Collected values and losses go into maps of their own, to be brought home by {@link bringHome}.
 */
export function contextOn(context: StepContext, backend: Backend): StepContext {
  const { batch, shared } = context;
  if (batch.tokens.backend === backend) return context;
  const known = copies.get(context) ?? new Map<Backend, StepContext>();
  copies.set(context, known);
  let copy = known.get(backend);
  if (!copy) {
    const moved = [...shared].map(
      ([name, tables]) => [name, tables.map((table) => transfer(table, backend))] as const,
    );
    copy = {
      batch: batchOn(batch, backend),
      shared: new Map(moved),
      collected: new Map(),
      losses: new Map(),
      checks: new Map(),
    };
    known.set(backend, copy);
  }
  return copy;
}

/** Moves what a block on another backend has reported to where the step began. */
export function bringHome(from: StepContext, to: StepContext): void {
  if (from === to) return;
  for (const report of ['collected', 'losses', 'checks'] as const) {
    for (const [name, value] of from[report]) to[report].set(name, transfer(value, to.batch.tokens.backend));
    from[report].clear();
  }
}

/** The cache gives each layer tensors that lie where its rows do, so it is the same. */
function batchOn(batch: StepBatch, backend: Backend): StepBatch {
  const { tokens, positions, sequenceStarts, logitRows, adapterOfRow } = batch;
  const move = (tensor: Tensor) => transfer(tensor, backend);
  return {
    ...batch,
    tokens: move(tokens),
    positions: move(positions),
    sequenceStarts: move(sequenceStarts),
    logitRows: move(logitRows),
    adapterOfRow: adapterOfRow && move(adapterOfRow),
  };
}
