import { readDocuments } from '@frugal/data';
import { countParameters } from '@frugal/eval';
import {
  feedForwardInputs,
  feedForwardSizeOf,
  saveModel,
  skeleton,
  sparseConfig,
  upcycleModel,
} from '@frugal/models';
import { clusterDirections, planUpcycle, type UpcyclePlan } from '@frugal/moe';
import { formatNumber } from '@frugal/report';
import { noGrad, Random, scope, type Tensor } from '@frugal/tensor-core';
import { type CausalLM, stepBatch } from '@frugal/tensor-core/nn';
import { addBackendOptions, type BackendOptions, useBackend } from '../../backend.js';
import { sourceFiles, withCheckpoint } from '../../checkpoint.js';
import { type Context, printJson } from '../../context.js';
import { type Domain, windowsOf } from '../../domains.js';
import { CommandError, UsageError } from '../../errors.js';
import { refuseExisting } from '../../files.js';
import { modelPath, openModel, openTokenizer, requireThere } from '../../model.js';
import { withProgress } from '../../progress.js';
import {
  addVerb,
  addWriteOptions,
  integer,
  type JsonOption,
  MODEL_ARGUMENT,
  number,
  Option,
  type Verb,
  type WriteOptions,
} from '../../verb.js';
import { version } from '../../version.js';

interface Options extends BackendOptions, WriteOptions, JsonOption {
  readonly experts: number;
  readonly active: number;
  readonly fineGrained: number;
  readonly shared: number;
  readonly noise: number;
  readonly router?: 'cluster' | 'random';
  readonly text?: readonly string[];
  readonly tokens: number;
  readonly seed: number;
}

/** What the new model is, and how far it is from the old one. */
interface Upcycled {
  readonly architecture: string;
  readonly parametersBefore: number;
  readonly parameters: number;
  readonly plan: UpcyclePlan;
  /** Largest difference of a logit, and the largest logit; absent in a dry run. */
  readonly logits?: { readonly difference: number; readonly largest: number };
}

/** Relative to the largest logit: rounding stays far below, a wrong weight far above. */
const SAME_FUNCTION = 1e-3;
const PROBE_TOKENS = 256;

export const upcycleVerb: Verb = (moe, context) => {
  const command = addVerb(moe, {
    name: 'upcycle',
    summary: 'make a mixture of experts of a dense model',
    notes:
      'Feed-forward layers are cut into pieces (--fine-grained), some of which all tokens use (--shared); the others are\n' +
      'copied and routed. A token chooses whole copies, so that the new model computes what the old one does: what training\n' +
      'goes on from. transformers opens the result (Mixtral, Qwen2-MoE, Qwen3-MoE or DeepSeek V3).',
    examples: [
      'frugal moe upcycle runs/dense --experts 8 --active 2 --out runs/sparse',
      'frugal moe upcycle runs/dense --experts 16 --active 4 --fine-grained 4 --text book.txt --out runs/sparse',
      'frugal moe upcycle runs/dense --experts 12 --active 6 --fine-grained 4 --shared 1 --dry-run --out runs/sparse',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .requiredOption('--experts <E>', 'routed experts', integer(1))
    .requiredOption('--active <K>', 'experts per token', integer(1))
    .option('--fine-grained <N>', 'pieces of each feed-forward layer', integer(1), 1)
    .option('--shared <S>', 'pieces that all tokens use', integer(0), 0)
    .option(
      '--noise <X>',
      'noise on the copies, as a share of their deviation; ends the equality',
      number(0),
      0,
    )
    .addOption(
      new Option(
        '--router <KIND>',
        'directions of the routers: clusters of what layers see in --text (default with it), or random',
      ).choices(['cluster', 'random']),
    )
    .option('--text <FILE...>', 'text to cluster by, and to compare both models on')
    .option('--tokens <N>', 'tokens of it', integer(16), 4096)
    .option('--seed <N>', 'of routers and noise', integer(0), 0);
  addBackendOptions(addWriteOptions(command, 'the model')).action(
    async (source: string, options: Options) => {
      const result = await upcycle(source, options, context);
      if (options.json) return printJson(context, { out: options.out, ...result });
      const { architecture, parametersBefore, parameters, plan, logits } = result;
      const facts = `${architecture}, ${plan.experts} experts of ${plan.size} neurons, ${plan.chosen} per token, ${formatNumber(parametersBefore)} → ${formatNumber(parameters)} parameters`;
      const distance = logits
        ? `; max |Δlogit| ${logits.difference.toExponential(1)} of ${logits.largest.toFixed(1)}`
        : '';
      context.terminal.out(`${options.dryRun ? 'Would write ' : ''}${options.out}: ${facts}${distance}\n`);
    },
  );
};

async function upcycle(source: string, options: Options, context: Context): Promise<Upcycled> {
  const { out, force, experts, active: chosen, fineGrained: slices, shared, noise, seed } = options;
  const byCluster = isByCluster(options);
  await refuseExisting(out, force);
  const path = await modelPath(source, context);
  useBackend(options, context);
  await requireThere(path);
  const dense = await openModel(path, context);
  const plan = planUpcycle({ experts, chosen, slices, shared }, feedForwardSizeOf(dense));
  const config = sparseConfig(dense, plan);
  const facts = {
    architecture: (config.architectures as string[])[0],
    plan,
    parametersBefore: countParameters(dense),
  };
  const windows =
    options.text &&
    windowsOf(await openTokenizer(path), await readText(options.text), {
      length: Math.min(PROBE_TOKENS, dense.contextLength),
      tokens: options.tokens,
    });
  if (options.dryRun) return { ...facts, parameters: countParameters(skeleton(config)) };
  const directions =
    byCluster && windows ? await clusterAll(dense, windows, { plan, seed }, context) : undefined;
  const sparse = upcycleModel(dense, {
    experts,
    chosen,
    slices,
    shared,
    noise,
    seed,
    ...(directions && { directions }),
  });
  const logits = await compareLogits(dense, sparse, windows?.[0] ?? arbitraryTokens(dense));
  if (noise === 0 && !(logits.difference <= SAME_FUNCTION * logits.largest))
    throw new CommandError({
      where: out,
      what: 'the new model does not compute what the dense one does',
      got: `a logit differs by ${logits.difference}`,
      expected: `at most ${SAME_FUNCTION} of the largest, ${logits.largest}`,
    });
  await saveModel(sparse, out, {
    ...(await withCheckpoint(path, sourceFiles)),
    force: force ?? false,
    manifest: {
      version: 1,
      createdBy: `frugal ${version}`,
      kind: 'upcycle',
      seed,
      sources: [{ role: 'base', name: source }],
      upcycle: { ...plan, noise, router: byCluster ? 'cluster' : 'random', logits },
    },
  });
  return { ...facts, parameters: countParameters(sparse), logits };
}

/** @throws UsageError when there is nothing to cluster */
function isByCluster({ router, text }: Options): boolean {
  if (router === 'cluster' && !text)
    throw new UsageError({
      where: '--router cluster',
      what: 'needs --text: what the layers see is clustered',
    });
  return router !== 'random' && text !== undefined;
}

async function readText(files: readonly string[]): Promise<Domain> {
  const texts: string[] = [];
  for await (const { text } of readDocuments(files)) texts.push(text);
  return { name: files.join(', '), texts };
}

/** Directions of the router of every layer. */
async function clusterAll(
  dense: CausalLM,
  windows: readonly Int32Array[],
  { plan, seed }: { readonly plan: UpcyclePlan; readonly seed: number },
  context: Context,
): Promise<Map<string, Tensor>> {
  const inputs = feedForwardInputs(dense, windows);
  const random = new Random(seed);
  const directions = new Map<string, Tensor>();
  await withProgress(context, 'Clustering', async (update) => {
    for (const [i, [path, x]] of [...inputs].entries()) {
      context.signal.throwIfAborted();
      directions.set(path, await clusterDirections(x, plan.copies, random.fork(i)));
      x.dispose();
      update(i + 1, inputs.size);
    }
  });
  return directions;
}

/** Largest difference between the logits of two models on the same tokens. */
async function compareLogits(dense: CausalLM, sparse: CausalLM, ids: Int32Array) {
  const { vocabularySize } = dense;
  const read = (model: CausalLM) =>
    noGrad(() =>
      scope(() =>
        model
          .forward(stepBatch([ids], { vocabularySize }))
          .logits()
          .cast('f32'),
      ),
    ).toFloat32();
  const [before, after] = [await read(dense), await read(sparse)];
  let [difference, largest] = [0, 0];
  for (const [i, value] of before.entries()) {
    difference = Math.max(difference, Math.abs(value - after[i]));
    largest = Math.max(largest, Math.abs(value));
  }
  return { difference, largest };
}

function arbitraryTokens({ vocabularySize, contextLength }: CausalLM): Int32Array {
  return Int32Array.from(
    { length: Math.min(64, contextLength) },
    (_, i) => (Math.imul(i + 1, 2654435761) >>> 0) % vocabularySize,
  );
}
