import {
  type Laboratory,
  prepare,
  pretrain,
  RunDirectory,
  type Settings,
  settings,
  type Trained,
} from '@frugal/example-pretrain-distill-deploy/steps';

/** Twenty minutes on one quiet thread. */
const TOKENS = 3_000_000;

/** A Llama of width 256: 6.1 M parameters on the corpus of the example. */
const settingsFor = (tokens: number): Settings => ({
  ...settings.full,
  sequence: 256,
  teacher: {
    ...settings.full.teacher,
    width: 256,
    layers: 6,
    heads: 4,
    feedForward: 768,
    tokens,
  },
});

/** Where finished models and checkpoints stay: an interrupted training goes on from the last checkpoint. */
export const CACHE = process.env.FRUGAL_BENCH_CACHE ?? '.cache/compression';

/** The model, its tokenizer and its texts; trains it the first time. */
export async function ownModel(
  tokens = TOKENS,
): Promise<{ readonly laboratory: Laboratory; readonly trained: Trained }> {
  const ownSettings = settingsFor(tokens);
  const run = await RunDirectory.open(ownSettings, CACHE);
  const data = await prepare(ownSettings, run);
  const laboratory = { settings: ownSettings, run, data, signal: new AbortController().signal };
  return { laboratory, trained: await pretrain(laboratory, 'own', ownSettings.teacher) };
}
