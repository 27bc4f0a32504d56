import type { Verb } from '../verb.js';

/**
 * Verbs by name, in the order of `frugal --help`: along the way of a model. Each brings its own imports, so that a command
 * loads what it needs and nothing else. A new verb is its file and one entry here.
 */
const verbs: Readonly<Record<string, () => Promise<Verb>>> = {
  data: async () => (await import('./data/data.js')).dataVerb,
  pretrain: async () => (await import('./pretrain.js')).pretrainVerb,
  finetune: async () => (await import('./finetune.js')).finetuneVerb,
  distill: async () => (await import('./distill.js')).distillVerb,
  prune: async () => (await import('./compress.js')).pruneVerb,
  quantize: async () => (await import('./compress.js')).quantizeVerb,
  compress: async () => (await import('./compress.js')).compressVerb,
  moe: async () => (await import('./moe/moe.js')).moeVerb,
  merge: async () => (await import('./merge.js')).mergeVerb,
  convert: async () => (await import('./convert.js')).convertVerb,
  inspect: async () => (await import('./inspect.js')).inspectVerb,
  generate: async () => (await import('./generate.js')).generateVerb,
  chat: async () => (await import('./chat.js')).chatVerb,
  serve: async () => (await import('./serve.js')).serveVerb,
  'api-key': async () => (await import('./api-key.js')).apiKeyVerb,
  logits: async () => (await import('./logits.js')).logitsVerb,
  perplexity: async () => (await import('./perplexity.js')).perplexityVerb,
  eval: async () => (await import('./eval.js')).evalVerb,
  bench: async () => (await import('./bench.js')).benchVerb,
  plan: async () => (await import('./plan.js')).planVerb,
  doctor: async () => (await import('./doctor.js')).doctorVerb,
};

/** The verb that a command line begins with; all of them where it begins with none: for help, and for hints. */
export async function verbsFor([first]: readonly string[]): Promise<readonly Verb[]> {
  const load = first === undefined || !Object.hasOwn(verbs, first) ? undefined : verbs[first];
  return Promise.all(load ? [load()] : Object.values(verbs).map((each) => each()));
}
