import { stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { perplexity } from '@frugal/eval';
import { loadAdapter } from '@frugal/lora';
import { type GateText, huggingFaceNames, loadModel } from '@frugal/models';
import { MixtureOfExperts } from '@frugal/moe';
import { ArgumentError } from '@frugal/tensor-core';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import { type Domain, windowsOf } from './domains.js';
import { CommandError } from './errors.js';
import { openTokenizer } from './model.js';

/** What the manifest of a mixture says about itself, so that it can be extended. */
export interface MixtureRecord {
  /** The dense model that the specialists were made of. */
  readonly base: string;
  /** What each expert is called, in order. */
  readonly experts: readonly string[];
}

/** `NAME=DIR`, or `DIR`, which is called after itself. */
export function namedPath(input: string): { readonly name: string; readonly path: string } {
  const [, name, path] = /^([^=/\\]+)=(.+)$/.exec(input) ?? [null, basename(resolve(input)), input];
  return { name, path };
}

export function isMixture(model: CausalLM): boolean {
  return [...model.namedModules()].some(([, module]) => module instanceof MixtureOfExperts);
}

/**
 * A specialist: a model with the tokenizer of the mixture, or an adapter of PEFT on the base, merged.
 * @throws CommandError when its tokenizer is another one, AdapterError when an adapter does not fit
 */
export async function openSpecialist(
  path: string,
  basePath: string,
  tokenizer: Tokenizer,
): Promise<CausalLM> {
  if (await isFile(join(path, 'adapter_config.json'))) {
    const model = await loadModel(basePath);
    const adapters = await loadAdapter(model, path, huggingFaceNames(model.config));
    adapters.merge();
    return model;
  }
  const own = await openTokenizer(path);
  if (own.fingerprint !== tokenizer.fingerprint)
    throw new CommandError({
      where: path,
      what: 'this model has another tokenizer than the base',
      got: `${own.vocabularySize} tokens`,
      expected: `${tokenizer.vocabularySize} tokens, the same ones`,
      hint: 'Feed-forward layers of such models cannot be mixed: route between whole models instead (ModelRouter of @frugal/moe).',
    });
  return loadModel(path);
}

/** Text that gates are made from, and text that tells how good the result is. */
export interface SplitDomain {
  readonly name: string;
  readonly gate: readonly Int32Array[];
  readonly heldOut: readonly string[];
}

/** Share of each domain that is held out: its last documents, or the end of the only one. */
const HELD_OUT = 0.2;

export function splitDomain(
  domain: Domain,
  tokenizer: Tokenizer,
  sizes: { readonly length: number; readonly tokens: number },
): SplitDomain {
  const { name } = domain;
  const texts = domain.texts.length > 1 ? domain.texts : pieces(domain.texts[0]);
  const held = Math.max(1, Math.round(texts.length * HELD_OUT));
  const heldOut: string[] = [];
  let room = 4 * sizes.tokens; // characters: about as many tokens as the gate gets
  for (const text of texts.slice(texts.length - held)) {
    if (room <= 0) break;
    heldOut.push(text.slice(0, room));
    room -= text.length;
  }
  return { name, gate: windowsOf(tokenizer, { name, texts: texts.slice(0, -held) }, sizes), heldOut };
}

/** A text in ten pieces. */
function pieces(text: string): string[] {
  const characters = [...text];
  const size = Math.max(1, Math.ceil(characters.length / 10));
  return Array.from({ length: Math.ceil(characters.length / size) }, (_, i) =>
    characters.slice(i * size, (i + 1) * size).join(''),
  );
}

/** Bits per byte of what a domain holds out. */
export async function bitsPerByte(
  model: CausalLM,
  tokenizer: Tokenizer,
  { name, heldOut }: SplitDomain,
  context: number,
): Promise<number> {
  try {
    return (await perplexity(model, tokenizer, heldOut, { context })).bitsPerByte;
  } catch (cause) {
    if (!(cause instanceof ArgumentError)) throw cause;
    throw new CommandError({
      where: `--text ${name}`,
      what: 'there is too little text to hold some out',
      hint: 'Give more of it.',
      cause,
    });
  }
}

/** One domain before and after: what served it best, and the new mixture. */
export interface DomainOutcome {
  readonly name: string;
  /** Bits per byte of held-out text. */
  readonly before: number;
  readonly after: number;
}

/** Domains that got worse by more than `margin`, a share. */
export function regressions(outcomes: readonly DomainOutcome[], margin: number): DomainOutcome[] {
  return outcomes.filter(({ before, after }) => !(after <= before * (1 + margin)));
}

export function gateTexts(domains: readonly SplitDomain[], models: readonly CausalLM[]): GateText[] {
  return domains.map(({ gate }, expert) => ({ expert, model: models[expert], sequences: gate }));
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
