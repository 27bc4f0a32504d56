import { ArgumentError, noGrad, scope, type Tensor, transfer } from '@frugal/tensor-core';
import type { LinearLike, Module } from '@frugal/tensor-core/nn';
import { AdaptedLinear, type LowRank } from './adapted-linear.js';
import { linearLayers } from './attach.js';
import { BankedLinear } from './banked-linear.js';
import { AdapterError } from './errors.js';

/** Layers whose rows are not those of the batch: experts get chosen rows, and MLA multiplies what its cache holds. */
const OTHER_ROWS = /\.sites\.\d+$|(^|\.)latentUp$/;

/**
 * Many adapters over one base at once, each row of a batch with its own (as in S-LoRA, Sheng et al. 2023): load and unload
 * them at any time, and put `indexOf(name)` into `adapterOfRow` of the batch, -1 for the base alone. What a row gives does
 * not depend on the adapters of the others.
 */
export class AdapterBank {
  /** Names of adapters by their index; null: it is free. */
  private readonly slots: (string | null)[] = [];
  private readonly layers = new Map<string, BankedLinear>();

  /** Counts changes: whoever recorded a step with the bank must record it again. */
  version = 0;

  constructor(private readonly model: Module) {}

  get names(): string[] {
    return this.slots.filter((name) => name !== null);
  }

  /** Memory of all adapters, as layers compute with them. */
  get bytes(): number {
    return [...this.layers.values()].reduce((sum, { adapterBytes }) => sum + adapterBytes, 0);
  }

  /** The index of an adapter; it stays until the adapter is removed. @throws ArgumentError for an unknown name */
  indexOf(name: string): number {
    const index = this.slots.indexOf(name);
    if (index >= 0) return index;
    throw new ArgumentError({
      where: 'AdapterBank',
      what: 'there is no such adapter',
      got: name,
      expected: this.names.join(', ') || 'none is loaded',
    });
  }

  /**
   * Takes over an adapter, for example from `readAdapter`; returns its index. Those of others stay as they are.
   * @throws AdapterError for layers where rows are not those of the batch, ArgumentError for a name that is taken
   */
  add(name: string, adapters: ReadonlyMap<string, LowRank>): number {
    if (this.names.includes(name))
      throw new ArgumentError({
        where: 'AdapterBank.add',
        what: 'the name is taken',
        got: name,
        hint: 'Remove the adapter first.',
      });
    const layers = linearLayers(this.model);
    const problems = [...adapters].flatMap(([path, adapter]) => problemsOf(path, layers.get(path), adapter));
    if (problems.length > 0) throw new AdapterError(name, problems);
    const free = this.slots.indexOf(null);
    const index = free < 0 ? this.slots.length : free;
    this.slots[index] = name;
    for (const path of adapters.keys()) this.wrap(path);
    this.version++;
    for (const [path, layer] of this.layers) {
      const adapter = adapters.get(path);
      const placed = adapter && beside(layer.base, adapter);
      layer.setSlot(index, placed ?? null, this.slots.length);
      for (const each of [adapter, placed]) if (each) disposeParts(each);
    }
    return index;
  }

  /** Frees an adapter; its index may then become that of another. @throws ArgumentError for an unknown name */
  remove(name: string): void {
    const index = this.indexOf(name);
    this.slots[index] = null;
    // Free places behind the last adapter would be filled with zeros.
    while (this.slots.at(-1) === null) this.slots.pop();
    this.version++;
    for (const layer of this.layers.values()) layer.setSlot(index, null, this.slots.length);
  }

  /** Takes all adapters off; the model is what it was. */
  detach(): void {
    for (const name of this.names) this.remove(name);
    for (const [path, layer] of this.layers) this.model.replace(path, layer.base);
    this.layers.clear();
  }

  private wrap(path: string): void {
    if (this.layers.has(path)) return;
    const layer = new BankedLinear(this.model.module(path) as Module & LinearLike);
    this.model.replace(path, layer);
    this.layers.set(path, layer);
  }
}

/** The parts of an adapter on the backend of its layer. */
function beside(layer: LinearLike, adapter: LowRank): LowRank {
  const { backend } = noGrad(() => scope(() => layer.effectiveWeight(0, 1)));
  const { down, up, magnitude } = adapter;
  const place = (part: Tensor) => transfer(part, backend);
  return { ...adapter, down: place(down), up: place(up), magnitude: magnitude && place(magnitude) };
}

function disposeParts({ down, up, magnitude }: LowRank): void {
  for (const part of [down, up, magnitude]) part?.dispose();
}

function problemsOf(path: string, layer: LinearLike | undefined, adapter: LowRank): string[] {
  if (!layer) return [`${path} is no linear layer of this model`];
  if (OTHER_ROWS.test(path)) return [`${path} multiplies other rows than those of the batch`];
  if (layer instanceof AdaptedLinear) return [`${path} has an adapter for all rows`];
  if (adapter.origin || adapter.mask)
    return [`${path} has an adapter that is still in training: save it first`];
  const { inFeatures: C, outFeatures: F } = layer;
  const shapes = `down [${adapter.down.shape}], up [${adapter.up.shape}]`;
  const fits = adapter.down.shape[1] === C && adapter.up.shape[0] === F;
  return fits ? [] : [`${path} is ${F} × ${C}, the adapter ${shapes}`];
}
