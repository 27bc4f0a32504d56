import { readDocuments } from '@frugal/data';
import { perplexity } from '@frugal/eval';
import { formatNumber, renderTable } from '@frugal/report';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { printJson } from '../context.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import { PRECISE_OPTION } from '../precise.js';
import { withProgress } from '../progress.js';
import { addVerb, integer, type JsonOption, MODEL_ARGUMENT, type Verb } from '../verb.js';

interface Options extends BackendOptions, JsonOption {
  readonly text: readonly string[];
  readonly context?: number;
  readonly precise?: true;
}

export const perplexityVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'perplexity',
    summary: 'how well a model predicts a text',
    notes:
      'The text is cut into windows that do not overlap; the first token of each is not scored. Perplexity compares\n' +
      'models with the same tokenizer, bits per byte all models; both only with the same --context.',
    examples: [
      'frugal perplexity runs/student --text held-out.txt',
      'frugal perplexity runs/student --text *.txt --context 512 --json',
    ],
  })
    .argument(...MODEL_ARGUMENT)
    .requiredOption(
      '--text <FILE...>',
      'text files, or .jsonl with one document per line; documents are scored apart',
    )
    .option('--context <N>', "tokens per window (default: the model's context)", integer(2))
    .option(...PRECISE_OPTION);
  addBackendOptions(command).action(async (source: string, options: Options) => {
    const texts: string[] = [];
    for await (const { text } of readDocuments(options.text)) texts.push(text);
    const path = await modelPath(source, context);
    const tokenizer = await openTokenizer(path);
    useBackend(options, context);
    const model = await openModel(path, context, options);
    const { signal, terminal } = context;
    const result = await withProgress(context, 'Scoring', (update) =>
      perplexity(model, tokenizer, texts, {
        context: options.context,
        signal,
        onProgress: ({ done, total }) => update(done, total),
      }),
    );
    const { bytes: _, ...shown } = result;
    if (options.json) return printJson(context, shown);
    const columns = [
      { title: 'perplexity', decimals: 3 },
      { title: 'bits/byte', decimals: 4 },
      { title: 'nats/token', decimals: 4 },
      { title: 'tokens', format: (value: number) => formatNumber(value, { decimals: 0 }) },
    ];
    terminal.out(
      `${renderTable(columns, [[result.perplexity, result.bitsPerByte, result.nll, result.tokens]])}\n`,
    );
  });
};
