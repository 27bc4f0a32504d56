import { expertMemoryOf } from '@frugal/moe';
import { formatBytes } from '@frugal/report';
import type { CausalLM } from '@frugal/tensor-core/nn';
import { type ChatMessage, chatTemplate, type Tokenizer } from '@frugal/tokenizers';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { openConstraint } from '../constraint.js';
import { printJson } from '../context.js';
import { openDraft } from '../draft.js';
import {
  addGenerationOptions,
  continueText,
  describeSpeed,
  type GenerationOptions,
  tokenLimit,
} from '../generation.js';
import { ADAPTER_OPTION, EXPERT_MEMORY_OPTION, modelPath, openSpeaker } from '../model.js';
import { type NamedPlace, PLACE_OPTION } from '../placement.js';
import { PRECISE_OPTION } from '../precise.js';
import { addVerb, integer, type JsonOption, MODEL_ARGUMENT, type Verb } from '../verb.js';

interface Options extends BackendOptions, GenerationOptions, JsonOption {
  readonly prompt: string;
  readonly chat?: true;
  readonly system?: string;
  readonly draft?: string;
  readonly precise?: true;
  readonly adapter?: string;
  readonly expertMemory?: number;
  readonly place?: readonly NamedPlace[];
  readonly jsonSchema?: string;
}

export const generateVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'generate',
    summary: 'continue a text, or answer a message',
    notes:
      'The text goes to standard output, the speed to standard error. --json gives promptIds, ids and text, and with\n' +
      '--logprobs N the log probability of each token and of the N most likely ones.',
    examples: [
      'frugal generate runs/student --prompt "Fellow citizens" --max-tokens 64',
      'frugal generate runs/student --prompt "却说曹操" --temperature 0.8 --top-k 40 --seed 7',
      'frugal generate SmolLM2.gguf --chat --prompt "What is a quine?" --draft lookup',
      'frugal generate SmolLM2.gguf --chat --prompt "A person, as JSON" --json-schema person.json',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .requiredOption('--prompt <TEXT>', 'what to continue')
    .option('--chat', 'the prompt is a message: answer it in the chat template')
    .option('--system <TEXT>', 'what stands before the message (with --chat)')
    .option(
      '--logprobs <N>',
      'with --json: log probabilities, and those of the N most likely tokens',
      integer(),
    )
    .option('--json-schema <FILE>', 'the text is a document of this JSON schema, whole within --max-tokens')
    .option(...ADAPTER_OPTION)
    .option(...EXPERT_MEMORY_OPTION)
    .option(...PLACE_OPTION)
    .option(...PRECISE_OPTION);
  addBackendOptions(addGenerationOptions(command, { temperature: 0 })).action(
    async (source: string, options: Options) => {
      const { terminal } = context;
      const path = await modelPath(source, context);
      useBackend(options, context);
      const { tokenizer, model } = await openSpeaker(path, context, { ...options, preferred: true });
      const promptIds = encodePrompt(tokenizer, options);
      const limit = tokenLimit(model, promptIds.length, options.maxTokens); // before the prompt is shown
      const constraint = await openConstraint(options.jsonSchema, tokenizer, limit);
      const draft = await openDraft(options.draft, { model, tokenizer }, context);
      const show = options.json ? undefined : terminal.out;
      if (!options.chat) show?.(options.prompt);
      const generation = { ...options, constraint };
      const result = await continueText({ model, tokenizer, draft }, promptIds, generation, context, show);
      context.signal.throwIfAborted();
      const { ids, text, logprobs } = result;
      const asked = options.logprobs !== undefined && { logprobs };
      if (options.json) printJson(context, { promptIds: [...promptIds], ids, text, ...asked });
      else terminal.out('\n');
      terminal.err(`${describeSpeed(result)}${options.expertMemory ? describeExperts(model) : ''}\n`);
    },
  );
};

function encodePrompt(tokenizer: Tokenizer, { prompt, chat, system }: Options): Int32Array {
  if (!chat) return tokenizer.encode(prompt);
  const messages: ChatMessage[] = [{ role: 'user', content: prompt }];
  if (system !== undefined) messages.unshift({ role: 'system', content: system });
  return chatTemplate(tokenizer).encode(messages, { addGenerationPrompt: true });
}

function describeExperts(model: CausalLM): string {
  const { needed = 0, present = 0, residentBytes = 0 } = expertMemoryOf(model)?.use ?? {};
  const share = needed > 0 ? ((100 * present) / needed).toFixed(1) : '0';
  return `, experts: ${formatBytes(residentBytes)} in memory, ${share} % of those needed were there`;
}
