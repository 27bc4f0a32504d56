import { ArgumentError } from '@frugal/tensor-core';
import type { Draft } from '@frugal/tensor-core/generation';
import { type CausalLM, modelBytes } from '@frugal/tensor-core/nn';
import { type ChatTemplate, chatTemplate, type Tokenizer } from '@frugal/tokenizers';
import { CompiledFormats } from '../grammar/index.js';
import type { ModelCard } from './contract.js';
import { toolFormatOf } from './tool-format.js';

/** A model to serve. It stays the caller's: closing the engine does not dispose it. */
export interface LoadedModel {
  /** What requests call it. */
  readonly name: string;
  readonly model: CausalLM;
  readonly tokenizer: Tokenizer;
  /** How messages become a prompt. Default: the tokenizer's own template, if it has one; null: none. */
  readonly chatTemplate?: ChatTemplate | null | undefined;
  /** Default, and at most: the model's own. */
  readonly contextLength?: number | undefined;
  /** Tokens that end an answer, in addition to the tokenizer's end of text. */
  readonly stopIds?: readonly number[] | undefined;
  /** Guesses tokens while few requests run: speed, not texts. Stays the caller's. */
  readonly draft?: Draft | undefined;
  /** Adapters that requests choose among, such as an `AdapterBank` of `@frugal/lora` over the model. Stays the caller's. */
  readonly adapters?: AdapterHost | undefined;
  /** Adds an adapter to `adapters`; `source` is what whoever asks for it names, such as a folder. Default: none can be added. */
  readonly loadAdapter?: ((name: string, source: string) => Promise<void>) | undefined;
}

/** Low-rank adapters of one model, of which each row of a step may use another one. */
export interface AdapterHost {
  readonly names: readonly string[];
  /** Counts changes: recorded steps are then made anew. */
  readonly version: number;
  /** Memory of all of them. */
  readonly bytes: number;
  /** What stands for an adapter in `StepBatch.adapterOfRow`; the same until it is removed. */
  indexOf(name: string): number;
  remove(name: string): void;
}

/** A loaded model with what is worked out once, when the engine starts. */
export interface ServedModel extends Omit<LoadedModel, 'stopIds'> {
  readonly card: Omit<ModelCard, 'adapters' | 'loaded'>;
  readonly chatTemplate: ChatTemplate | null;
  readonly stopIds: ReadonlySet<number>;
  readonly formats: CompiledFormats;
}

/** @throws ArgumentError when tokenizer and model do not belong together, ChatTemplateError for a broken template */
export function prepareModel(loaded: LoadedModel, contextLength: number): ServedModel {
  const { name, model, tokenizer, stopIds = [] } = loaded;
  if (tokenizer.vocabularySize > model.vocabularySize) {
    throw new ArgumentError({
      where: 'engine',
      what: `the tokenizer of ${name} has ids that the model does not know`,
      got: `${tokenizer.vocabularySize} ids`,
      expected: `at most ${model.vocabularySize}`,
      hint: 'Load the tokenizer that belongs to the model.',
    });
  }
  const hasOwn = Object.keys(tokenizer.chatTemplates).length > 0;
  const own = loaded.chatTemplate === undefined && hasOwn ? chatTemplate(tokenizer) : null;
  const template = loaded.chatTemplate ?? own;
  const created = Math.floor(Date.now() / 1000);
  const ends = new Set([...stopIds, ...tokenizer.eosIds]);
  return {
    ...loaded,
    chatTemplate: template,
    stopIds: ends,
    formats: new CompiledFormats(tokenizer, ends),
    card: {
      name,
      task: 'generate',
      contextLength,
      created,
      weightBytes: modelBytes(model),
      chat: template !== null,
      roles: template !== null && knowsRoles(template),
      toolFormat: template && toolFormatOf(template),
    },
  };
}

/** Whether the template writes a question and an answer differently. One that refuses to start with an answer does. */
function knowsRoles(template: ChatTemplate): boolean {
  try {
    const [question, answer] = ['user', 'assistant'].map((role) => template.apply([{ role, content: 'x' }]));
    return question !== answer;
  } catch {
    return true;
  }
}
