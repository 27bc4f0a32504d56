import {
  type Collective,
  fromBytes,
  keep,
  noGrad,
  referenceBackend,
  type Tensor,
  tensor,
} from '@frugal/tensor-core';
import type { NamedParameter } from '../optimizers/optimizer.js';
import type { LocalUpdateOptions } from './options.js';
import { addDelta, blocksOf, bytesOf, type DeltaBits, quantizeDelta } from './quantized-delta.js';

/**
 * The outer step of DiLoCo (arXiv:2311.08105): d = Σ weight · (anchor - own weights) over the ranks, each difference in
 * 4 or 8 bits; v ← μ v + d; anchor ← anchor - η (d + μ v). All ranks compute it with the same bits.
 */
export class OuterOptimizer {
  /** The weights of all ranks after the last exchange, one parameter after the other. */
  private readonly anchor: Float32Array;
  private readonly velocity: Float32Array;
  private readonly learningRate: number;
  private readonly momentum: number;
  private readonly bits: DeltaBits;

  constructor(
    private readonly parameters: readonly NamedParameter[],
    { learningRate = 1, momentum = 0, bits = 4 }: LocalUpdateOptions,
  ) {
    const size = parameters.reduce((sum, { parameter }) => sum + parameter.value.size, 0);
    this.anchor = new Float32Array(size);
    this.velocity = new Float32Array(size);
    this.learningRate = learningRate;
    this.momentum = momentum;
    this.bits = bits;
  }

  /** Starts from the weights that the parameters have now. */
  async start(): Promise<void> {
    this.anchor.set(await this.weights());
  }

  /** Exchanges what every rank has learned since the last time, and gives all the same weights. */
  async step(collective: Collective, weights: readonly number[]): Promise<void> {
    const { bits } = this;
    const own = await this.weights();
    for (let i = 0; i < own.length; i++) own[i] = this.anchor[i] - own[i];
    const { codes, scales } = quantizeDelta(own, bits);
    const sent = [
      tensor(scales, { backend: referenceBackend() }),
      fromBytes(codes, {
        shape: [codes.length],
        dtype: 'u8',
        backend: referenceBackend(),
      }),
    ].map(keep);
    const got = await collective.allGather(sent);
    const [allScales, allCodes] = await Promise.all(got.map((each) => each.bytes()));
    for (const each of [...sent, ...got]) each.dispose();
    const change = own.fill(0);
    const blocks = blocksOf(own.length);
    const bytes = bytesOf(own.length, bits);
    for (const [rank, weight] of weights.entries()) {
      const delta = {
        scales: new Float32Array(allScales.buffer, allScales.byteOffset + 4 * rank * blocks, blocks),
        codes: allCodes.subarray(rank * bytes, (rank + 1) * bytes),
      };
      addDelta(change, delta, bits, weight);
    }
    const { anchor, velocity, learningRate, momentum } = this;
    for (let i = 0; i < change.length; i++) {
      velocity[i] = momentum * velocity[i] + change[i];
      anchor[i] -= learningRate * (change[i] + momentum * velocity[i]);
    }
    this.writeWeights();
  }

  /** What must be saved beside the weights of the last exchange: the momentum, by path. */
  state(): Map<string, Tensor> {
    return new Map(
      this.pieces().map(({ path, parameter, from, to }) => {
        const values = tensor(this.velocity.slice(from, to), { backend: referenceBackend() });
        return [path, keep(values.reshape(...parameter.shape))];
      }),
    );
  }

  async load(state: ReadonlyMap<string, Tensor>): Promise<void> {
    for (const { path, from } of this.pieces()) {
      const values = await state.get(path)?.toFloat32();
      if (values) this.velocity.set(values, from);
    }
    await this.start();
  }

  private async weights(): Promise<Float32Array> {
    const all = new Float32Array(this.anchor.length);
    for (const { parameter, from } of this.pieces()) all.set(await parameter.value.toFloat32(), from);
    return all;
  }

  private writeWeights(): void {
    noGrad(() => {
      for (const { parameter, from, to } of this.pieces()) {
        const { value } = parameter;
        const next = tensor(this.anchor.slice(from, to), { backend: value.backend });
        const shaped = next.reshape(...value.shape);
        value.assign(shaped);
        shaped.dispose();
        next.dispose();
      }
    });
  }

  private pieces() {
    let to = 0;
    return this.parameters.map(({ path, parameter }) => {
      const from = to;
      to += parameter.value.size;
      return { path, parameter, from, to };
    });
  }
}
