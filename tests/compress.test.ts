import {
  compress,
  type Modifier,
  type ModifierFactory,
  type ModifierSpec,
  PlanError,
  parseRecipe,
  RecipeError,
  type TrainFunction,
} from '@frugal/compress';
import { logitDistillation } from '@frugal/distill';
import { createModel } from '@frugal/models';
import { roundToNearest } from '@frugal/quant';
import { memoryUsage, noGrad, scope } from '@frugal/tensor-core';
import {
  type CausalLM,
  Linear,
  type LinearLike,
  onForward,
  PackedLinear,
  stepBatch,
} from '@frugal/tensor-core/nn';
import { describe, expect, it } from 'vitest';

const config = {
  architectures: ['LlamaForCausalLM'],
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  vocab_size: 40,
  tie_word_embeddings: true,
};

const sequences = [Int32Array.of(1, 2, 3, 4, 5), Int32Array.of(7, 8, 9)];

function recipe(...modifiers: ModifierSpec[]) {
  return parseRecipe({
    version: 1,
    seed: 3,
    stages: modifiers.map((spec, i) => ({ name: `stage-${i}`, modifiers: [spec] })),
  });
}

function logits(model: CausalLM): Promise<Float32Array> {
  const output = scope(() =>
    noGrad(() => model.forward(stepBatch(sequences, { vocabularySize: 40 })).logits()),
  );
  return output.toFloat32();
}

/** Records the statistics it is given and halves every layer it is pointed at. */
function probe(
  seen: Map<string, { count: number; squares: Float32Array; absMax: Float32Array; gram: Float32Array }>,
): ModifierFactory {
  return {
    type: 'test.probe',
    create: (spec): Modifier => ({
      spec,
      sites: ['linear'],
      needs: { stats: ['count', 'squares', 'absMax', 'gram'] },
      plan: (sites) => ({
        sites: sites.map(({ path }) => ({ path, bytesBefore: 0, bytesAfter: 0 })),
        problems: [],
      }),
      async apply(site, statsOf) {
        const stats = statsOf(site.path);
        if (site.kind !== 'linear' || !stats.squares || !stats.absMax || !stats.gram) return { edits: [] };
        const [squares, absMax, gram] = await Promise.all(
          [stats.squares, stats.absMax, stats.gram].map((t) => t.toFloat32()),
        );
        seen.set(site.path, { count: stats.count ?? 0, squares, absMax, gram });
        return { edits: [] };
      },
    }),
  };
}

describe('recipes', () => {
  it('are read from YAML and JSON', () => {
    const yaml =
      'version: 1\nseed: 4\nstages:\n  - name: a\n    modifiers:\n      - type: quant.rtn\n        targets: { include: ["blocks.**"] }\n        format: int8-channel\n';
    expect(parseRecipe(yaml)).toEqual(parseRecipe(JSON.stringify(parseRecipe(yaml))));
  });

  it.each([
    ['stages: [', /is not YAML or JSON/],
    ['version: 2\nseed: 1\nstages: []', /version/],
    [
      'version: 1\nseed: 1\nstages:\n  - name: a\n    modifiers:\n      - type: rtn\n        targets: {include: []}',
      /type[\s\S]*include/,
    ],
  ])('%j is refused', (text, message) => {
    expect(() => parseRecipe(text)).toThrow(RecipeError);
    expect(() => parseRecipe(text)).toThrow(message);
  });
});

describe('compress', () => {
  it('lists every problem at once and changes nothing', async () => {
    const model = createModel(config, { seed: 1 });
    const before = await logits(model);
    const wrong = recipe(
      { type: 'quant.rtn', targets: { include: ['layers.**'] }, format: 'int8-channel' },
      { type: 'test.probe', targets: { include: ['**'] } },
      { type: 'quant.rtn', targets: { include: ['**'] }, format: 'int7' },
    );
    const attempt = compress(model, wrong, { methods: [roundToNearest, probe(new Map())] });
    await expect(attempt).rejects.toThrow(PlanError);
    const { problems } = (await attempt.catch((error: unknown) => error)) as PlanError;
    expect(problems.some((p) => p.includes('finds no linear at layers.**'))).toBe(true);
    expect(problems.some((p) => p.includes('needs calibration data'))).toBe(true);
    expect(problems.some((p) => p.includes('int7'))).toBe(true);
    expect(await logits(model)).toEqual(before);
  });

  it('refuses an unknown method by name, with the known ones', async () => {
    const model = createModel(config, { seed: 1 });
    const unknown = recipe({ type: 'quant.magic', targets: { include: ['**'] } });
    await expect(compress(model, unknown, { methods: [roundToNearest] })).rejects.toThrow(
      /quant\.magic.*quant\.rtn/,
    );
  });

  it('refuses two methods of one stage that change the same layer', async () => {
    const model = createModel(config, { seed: 1 });
    const spec = { type: 'quant.rtn', targets: { include: ['blocks.0.mlp.*'] }, format: 'int8-channel' };
    const both = parseRecipe({ version: 1, seed: 0, stages: [{ name: 'both', modifiers: [spec, spec] }] });
    await expect(compress(model, both, { methods: [roundToNearest] })).rejects.toThrow(
      /both change blocks\.0\.mlp\.gate/,
    );
  });

  it.each([
    ['empty', [Int32Array.of()], /calibration sequence 0 is empty/],
    ['none', [], /needs calibration data/],
    [
      'foreign',
      [Int32Array.of(1, 2), Int32Array.of(7, 40)],
      /sequence 1 has the token 40.*another tokenizer/,
    ],
    ['not whole', [[1, 2.5]], /has the token 2\.5/],
    ['not a number', [[1, Number.NaN]], /has the token NaN/],
    ['too long', [new Int32Array(5000)], /has 5000 tokens, more than the model's 2048/],
  ])('refuses calibration that is %s before any work', async (_, calibration, message) => {
    const model = createModel(config, { seed: 1 });
    const before = await logits(model);
    const probing = recipe({ type: 'test.probe', targets: { include: ['**'] } });
    const attempt = compress(model, probing, { methods: [probe(new Map())], calibration });
    await expect(attempt).rejects.toThrow(PlanError);
    await expect(attempt).rejects.toThrow(message);
    expect(await logits(model)).toEqual(before);
  });

  it.each([
    ['one pass', ['a', 'a']],
    ['two passes, of which the second ends early', ['a', 'b']],
  ])('collects statistics of what each layer really sees, in %s', async (_, calibrationDomains) => {
    const model = createModel(config, { seed: 2 });
    const seen = new Map();
    await compress(model, recipe({ type: 'test.probe', targets: { include: ['**'] } }), {
      methods: [probe(seen)],
      calibration: sequences,
      calibrationDomains,
    });
    const inputs = await recordInputs(model);
    expect([...seen.keys()].sort()).toEqual([...inputs.keys()].sort());
    for (const [path, rows] of inputs) {
      const { count, squares, absMax, gram } = seen.get(path);
      const C = squares.length;
      expect(count).toBe(rows.length / C);
      for (let c = 0; c < C; c++) {
        const column = Array.from({ length: count }, (_, r) => rows[r * C + c]);
        expect(squares[c]).toBeCloseTo(
          column.reduce((s, x) => s + x * x, 0),
          4,
        );
        expect(absMax[c]).toBeCloseTo(Math.max(...column.map(Math.abs)), 5);
        expect(gram[c * C + c]).toBeCloseTo(squares[c], 4);
      }
    }
  });

  it('spends passes for statistics only on blocks that a method works on', async () => {
    const model = createModel(config, { seed: 2 });
    const passes = model.blocks.map(() => 0);
    for (const i of model.blocks.keys())
      onForward(model.module(`blocks.${i}.mlp.gate`) as Linear, () => void passes[i]++);
    await compress(model, recipe({ type: 'test.probe', targets: { include: ['blocks.1.**'] } }), {
      methods: [probe(new Map())],
      calibration: sequences,
    });
    const advance = 1; // short sequences pass together
    expect(passes).toEqual([advance, 2 * advance, advance]);
  });

  it('packs tied embedding and head as one matrix, and leaves a manifest', async () => {
    const model = createModel(config, { seed: 1 });
    const before = await logits(model);
    const int8 = recipe({
      type: 'quant.rtn',
      targets: { include: ['**'] },
      format: 'int8-channel',
      activation: 'int8',
    });
    const { report, manifest } = await compress(model, int8, { methods: [roundToNearest] });
    expect((model.head as PackedLinear).weight).toBe((model.embed as unknown as PackedLinear).weight);
    expect(report.bytesAfter).toBeLessThan(report.bytesBefore / 2);
    expect(manifest).toMatchObject({ version: 1, kind: 'compress', seed: 3, recipe: int8 });
    const after = await logits(model);
    const error = Math.sqrt(
      after.reduce((s, x, i) => s + (x - before[i]) ** 2, 0) / before.reduce((s, x) => s + x * x, 0),
    );
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.03);
  });

  it('works on the sites that a method selects from the statistics of all', async () => {
    const model = createModel(config, { seed: 1 });
    const largest: ModifierFactory = {
      type: 'test.largest',
      create: (spec) => {
        const rtn = roundToNearest.create({ ...spec, type: 'quant.rtn', format: 'int8-channel' });
        return {
          ...rtn,
          spec,
          needs: { stats: ['count'] },
          async select(sites, stats) {
            expect(sites.every(({ path }) => stats(path).count === 8)).toBe(true);
            return [sites[0].path];
          },
          invariant: undefined,
        };
      },
    };
    const targets = { include: ['blocks.*.mlp.*'] };
    await compress(model, recipe({ type: 'test.largest', targets }), {
      methods: [largest],
      calibration: sequences,
    });
    const packed = [...model.namedModules()].filter(([, module]) => module instanceof PackedLinear);
    expect(packed.map(([path]) => path)).toEqual(['blocks.0.mlp.gate']);
  });

  it('does not round a layer twice, and frees what an edit replaced', async () => {
    const model = createModel(config, { seed: 1 });
    const before = memoryUsage().storages;
    const spec = { type: 'quant.rtn', targets: { include: ['blocks.1.mlp.up'] }, format: 'int8-channel' };
    await expect(compress(model, recipe(spec, spec), { methods: [roundToNearest] })).rejects.toThrow(
      /packed already.*blocks\.1\.mlp\.up/,
    );
    const { weight } = model.module('blocks.1.mlp.up') as PackedLinear;
    expect(memoryUsage().storages).toBe(before + 1); // codes and scales for one matrix
    const dense: ModifierFactory = {
      type: 'test.dense',
      create: (own) => ({
        spec: own,
        sites: ['linear'],
        needs: {},
        plan: () => ({ sites: [], problems: [] }),
        apply: async (site) => ({ edits: [{ path: site.path, module: new Linear(weight.unpack()) }] }),
      }),
    };
    await compress(model, recipe({ ...spec, type: 'test.dense' }), { methods: [dense] });
    expect(memoryUsage().storages).toBe(before);
  });

  it('refuses a teacher of another vocabulary, and batches whose targets do not fit', async () => {
    const [student, teacher] = [
      createModel(config, { seed: 1 }),
      createModel({ ...config, vocab_size: 41 }, { seed: 2 }),
    ];
    const distil = recipe({ type: 'distill.logits', targets: { include: ['blocks.*'] } });
    const run = (own: CausalLM, targets: Int32Array) => {
      const batch = { sequences, targets };
      const data = { next: () => batch, state: () => null, restore: () => {} };
      const train: TrainFunction = async (job) => ({ loss: await scope(() => job.loss(batch).sum).item() });
      return compress(student, distil, { methods: [logitDistillation], teacher: own, data, train });
    };
    await expect(run(teacher, new Int32Array(8))).rejects.toThrow(/different vocabularies.*40 and 41/);
    await expect(run(student, new Int32Array(9))).rejects.toThrow(/one entry per token.*9 targets.*8/);
    const { report } = await run(student, Int32Array.of(1, -100, 2, 3, 4, 5, 6, 7));
    expect(Math.abs(report.stages[0].training?.loss as number)).toBeLessThan(1e-5);
  });

  it('stops when a later stage breaks an earlier promise', async () => {
    const model = createModel(config, { seed: 1 });
    const breaker: ModifierFactory = {
      type: 'test.break',
      create: (spec) => ({
        spec,
        sites: ['linear'],
        needs: {},
        plan: () => ({ sites: [], problems: [] }),
        apply: async (site) => ({
          edits: [
            {
              path: site.path,
              module: (createModel(config, { seed: 9 }) as CausalLM).module(site.path) as LinearLike,
            },
          ],
        }),
      }),
    };
    const targets = { include: ['blocks.1.mlp.up'] };
    const both = recipe(
      { type: 'quant.rtn', targets, format: 'int8-channel' },
      { type: 'test.break', targets },
    );
    await expect(compress(model, both, { methods: [roundToNearest, breaker] })).rejects.toThrow(
      /no longer holds at blocks\.1\.mlp\.up/,
    );
  });
});

/** The inputs of every linear layer in a plain forward pass, by an independent route: patched forward methods. */
async function recordInputs(model: CausalLM): Promise<Map<string, number[]>> {
  const recorded = new Map<string, Promise<Float32Array>[]>();
  for (const [path, module] of model.namedModules()) {
    if (!('effectiveWeight' in module)) continue;
    const layer = module as LinearLike;
    const forward = layer.forward.bind(layer);
    layer.forward = (x, rows) => {
      recorded.set(path, [...(recorded.get(path) ?? []), x.toFloat32()]);
      return forward(x, rows);
    };
  }
  for (const sequence of sequences)
    noGrad(() => model.forward(stepBatch([sequence], { vocabularySize: 40 })).logits());
  const result = new Map<string, number[]>();
  for (const [path, parts] of recorded)
    result.set(
      path,
      (await Promise.all(parts)).flatMap((part) => [...part]),
    );
  return result;
}
