import { Random, scope } from '@frugal/tensor-core';
import { Embedding, Linear, Module, RMSNorm } from '@frugal/tensor-core/nn';

/** hidden [N, C] + wide linear layer, ReLU, narrow linear layer over the normalised hidden states. */
class ResidualBlock extends Module {
  constructor(C, F, random) {
    super();
    this.norm = RMSNorm.init(C, 1e-6);
    this.wide = Linear.init(C, F, { random });
    this.narrow = Linear.init(F, C, { random });
  }

  forward(hidden) {
    return hidden.add(this.narrow.forward(this.wide.forward(this.norm.forward(hidden)).relu()));
  }
}

/** A network of one's own: whatever has blocks, and names what belongs together, can be compressed. */
export class Network extends Module {
  config = { architectures: ['OwnNetwork'] };
  ties = [];

  constructor({ V, C, F, layers, seed }) {
    super();
    const random = new Random(seed);
    this.vocabularySize = V;
    this.embed = Embedding.init(V, C, { random, std: 1 });
    this.blocks = Array.from({ length: layers }, () => new ResidualBlock(C, F, random));
    this.norm = RMSNorm.init(C, 1e-6);
    this.head = Linear.init(C, V, { random });
  }

  couplings() {
    return [];
  }
  normGroups() {
    return this.blocks.map((_, i) => ({ norm: `blocks.${i}.norm`, consumers: [`blocks.${i}.wide`] }));
  }

  /** Calibration walks block by block: begin, every block, finish. */
  begin(batch) {
    const lists = { shared: new Map(), collected: new Map(), losses: new Map(), checks: new Map() };
    return { hidden: this.embed.forward(batch.tokens, 'f32'), context: { batch, ...lists } };
  }
  finish(hidden, { batch, ...lists }) {
    const rows = this.norm.forward(hidden.gatherRows(batch.logitRows));
    return { ...lists, hidden: rows, logits: () => this.head.forward(rows) };
  }

  /** Scores [N, V] for i32 [N]. */
  async predict(batch) {
    const logits = scope(() => {
      let { hidden, context } = this.begin(batch);
      for (const block of this.blocks) hidden = block.forward(hidden, context);
      return this.finish(hidden, context).logits();
    });
    return logits.toFloat32();
  }
}
