import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { printJson } from '../context.js';
import {
  addGenerationOptions,
  continueText,
  describeSpeed,
  type GenerationOptions,
  tokenLimit,
} from '../generation.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import { addVerb, type JsonOption, MODEL_ARGUMENT, type Verb } from '../verb.js';

interface Options extends BackendOptions, GenerationOptions, JsonOption {
  readonly prompt: string;
}

export const generateVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'generate',
    summary: 'continue a text',
    notes:
      'The text goes to standard output, the speed to standard error. --json gives promptIds, ids and text.',
    examples: [
      'frugal generate runs/student --prompt "Fellow citizens" --max-tokens 64',
      'frugal generate runs/student --prompt "却说曹操" --temperature 0.8 --top-k 40 --seed 7',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .requiredOption('--prompt <TEXT>', 'what to continue');
  addBackendOptions(addGenerationOptions(command, { temperature: 0 })).action(
    async (source: string, options: Options) => {
      const { terminal } = context;
      const path = await modelPath(source, context);
      const tokenizer = await openTokenizer(path);
      useBackend(options, context);
      const model = await openModel(path, context);
      const promptIds = tokenizer.encode(options.prompt);
      tokenLimit(model, promptIds.length, options.maxTokens); // before the prompt is shown
      const show = options.json ? undefined : terminal.out;
      show?.(options.prompt);
      const result = await continueText({ model, tokenizer }, promptIds, options, context, show);
      if (options.json) printJson(context, { promptIds: [...promptIds], ids: result.ids, text: result.text });
      else terminal.out('\n');
      terminal.err(`${describeSpeed(result)}\n`);
    },
  );
};
