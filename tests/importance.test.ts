import {
  compress,
  type ModifierFactory,
  type ModifierSpec,
  PlanError,
  parseRecipe,
  presetRecipe,
  readWeight,
} from '@frugal/compress';
import { createModel } from '@frugal/models';
import { ggufQuantization, importanceOf } from '@frugal/quant';
import { type CausalLM, isLinearLike, PackedLinear } from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 256,
  intermediate_size: 96,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 1,
  head_dim: 16,
  vocab_size: 64,
  tie_word_embeddings: false,
};

/** Some tokens are far more common than others, as in text. */
const calibration = Array.from({ length: 4 }, (_, s) =>
  Int32Array.from({ length: 48 }, (_, i) => Math.floor(63 * (((i * i * 7 + s * 13) % 97) / 97) ** 3)),
);

const modelOf = () => createModel(config, { seed: 6 });
const blocks = { include: ['blocks.**'] };
const gguf = (format: string, more: object = {}): ModifierSpec => ({
  type: 'quant.gguf',
  targets: blocks,
  format,
  fallback: 'q5_0',
  ...more,
});
const recipeOf = (...modifiers: ModifierSpec[]) =>
  parseRecipe({ version: 1, seed: 0, stages: [{ name: 'one', modifiers }] });

/** Notes what the runner collects for each layer just before the method changes it. */
function listener(seen: Map<string, Float32Array>): ModifierFactory {
  return {
    type: 'test.listener',
    create: (spec) => ({
      spec,
      sites: ['linear'],
      needs: { stats: ['squares', 'count'] },
      plan: () => ({ sites: [], problems: [] }),
      async apply({ path }, statsOf) {
        seen.set(path, (await importanceOf(statsOf(path))) ?? expect.fail(`nothing reached ${path}`));
        return { edits: [] };
      },
    }),
  };
}

/** tr(D G Dᵀ) over the rows of calibration with the diagonal of G alone, for every layer of the blocks. */
async function outputErrors(model: CausalLM, seen: ReadonlyMap<string, Float32Array>) {
  const original = modelOf();
  const errors = new Map<string, number>();
  for (const [path, importance] of seen) {
    const [now, before] = [model.module(path), original.module(path)];
    if (!isLinearLike(now) || !isLinearLike(before)) throw new Error(`${path} is no linear layer`);
    const [after, weight] = [await readWeight(now, path), await readWeight(before, path)];
    const sum = after.reduce(
      (total, value, i) => total + importance[i % importance.length] * (value - weight[i]) ** 2,
      0,
    );
    errors.set(path, sum);
  }
  return errors;
}

const formats = (model: CausalLM) =>
  [...model.namedModules()].flatMap(([path, module]) =>
    module instanceof PackedLinear ? [[path, module.weight.format]] : [],
  );

describe('quant.gguf', () => {
  it.each(['q4_k', 'q2_k', 'q4_0'])(
    '%s moves the output of every layer less with calibration than without',
    async (format) => {
      const seen = new Map<string, Float32Array>();
      const methods = [ggufQuantization, listener(seen)];
      const [weighted, plain] = [modelOf(), modelOf()];
      const listen = { type: 'test.listener', targets: blocks };
      const { report } = await compress(weighted, recipeOf(listen, gguf(format)), { methods, calibration });
      await compress(plain, recipeOf(gguf(format, { importance: 'none' })), { methods, calibration });
      const outcomes = report.stages[0].outcomes.filter(({ method }) => method === 'quant.gguf');
      expect(outcomes.map(({ measured }) => measured.importance)).toEqual(Array(7).fill('calibration'));
      const without = await outputErrors(plain, seen);
      expect(seen.size).toBe(7);
      for (const [path, error] of await outputErrors(weighted, seen)) {
        expect(error, path).toBeLessThan(without.get(path) ?? 0);
      }
    },
  );

  it('does without calibration data, and says so', async () => {
    const [free, asked] = [modelOf(), modelOf()];
    const options = { methods: [ggufQuantization] };
    const { report } = await compress(free, recipeOf(gguf('q4_k')), options);
    await compress(asked, recipeOf(gguf('q4_k', { importance: 'none' })), { ...options, calibration });
    expect(new Set(report.stages[0].outcomes.map(({ measured }) => measured.importance))).toEqual(
      new Set(['none']),
    );
    const weight = async (model: CausalLM) => {
      const path = 'blocks.0.mlp.up';
      const layer = model.module(path);
      return isLinearLike(layer) ? readWeight(layer, path) : expect.fail();
    };
    expect(await weight(free)).toEqual(await weight(asked));
  });

  it('refuses formats that are none of GGUF files', async () => {
    const attempt = compress(modelOf(), recipeOf(gguf('int4-g32'), gguf('q9_k')), {
      methods: [ggufQuantization],
    });
    await expect(attempt).rejects.toThrow(PlanError);
    await expect(attempt).rejects.toThrow(
      /int4-g32 is no format of GGUF files[\s\S]*unknown packed format: got q9_k/,
    );
  });
});

describe('the q4_k_m preset', () => {
  it('mixes formats and weighs all but a matrix that the embedding shares', async () => {
    const model = createModel({ ...config, tie_word_embeddings: true }, { seed: 6 });
    const { report } = await compress(model, presetRecipe('q4_k_m', model), {
      methods: [ggufQuantization],
      calibration,
    });
    const packed = new Map(formats(model).map(([path, format]) => [path, format] as const));
    expect(packed.get('blocks.0.attention.query')).toBe('q4_k');
    expect(packed.get('blocks.0.attention.value')).toBe('q6_k');
    expect(packed.get('blocks.0.mlp.down')).toBe('q8_0'); // 96 columns are no whole blocks of 256
    expect(packed.get('head')).toBe('q6_k');
    for (const { path, measured } of report.stages[0].outcomes) {
      expect(measured.importance, path).toBe(path === 'head' ? 'none' : 'calibration');
    }
  });
});
