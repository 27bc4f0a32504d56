import { addBackendOptions, type BackendOptions, useBackend } from '../../backend.js';
import { type Context, printJson } from '../../context.js';
import { CommandError } from '../../errors.js';
import { readSynthesis, type SynthesisConfig } from '../../synthesis/config.js';
import { reportTable } from '../../synthesis/report-page.js';
import {
  planSynthesis,
  type SynthesisOptions,
  type SynthesisPlan,
  synthesize,
} from '../../synthesis/synthesize.js';
import { addVerb, type JsonOption, type Verb } from '../../verb.js';

interface Options extends BackendOptions, SynthesisOptions, JsonOption {
  readonly dryRun?: boolean;
}

const EXAMPLE = `  student: runs/base              # MODEL that learns
  teacher: runs/large             # MODEL that writes; or {url: http://127.0.0.1:8080/v1, model: NAME} of an endpoint
  seeds: [notes.jsonl]            # documents that it writes about
  heldOut: [questions.jsonl]      # real examples (as for frugal finetune, or texts) that decide whether a round stays
  realText: [news.jsonl]          # optional: real text of another kind, whose perplexity must not rise
  out: runs/taught
  rounds: 3
  documentsPerRound: 500
  epochs: 2                       # over all examples so far, from the student as it came
  writing:
    instruction: "Ask one question about this text: {document}"    # left out: the document is the question
    answer: "{document}\\n\\n{instruction}"                          # default: {instruction}
    answers: 3                    # the one that most others agree with is kept
    temperature: 0.7
    maxTokens: 128
  filters:                        # optional, with their defaults
    agreement: 0.5                # share of the answers that must agree
    overlap: 0.6                  # of their words
    length: [1, 400]              # words of an answer
    copies: 0.8                   # similarity from which examples are copies
    leastDiversity: 0.7           # of a round, beside the first: below it the loop stops
    leastDistinct: 0.1            # different pairs of words: below it the loop stops
    mostPerplexity: 1.05          # of realText, beside the start
  training: {learningRate: 1e-4}  # optional, as in frugal pretrain --help`;

export const synthesizeVerb: Verb = (data, context) => {
  const command = addVerb(data, {
    name: 'synthesize',
    summary: 'let a model learn from what a teacher writes, round by round, while real examples show a gain',
    notes:
      'In each round the teacher writes about further documents; what disagrees with itself, repeats or copies is left out; the\n' +
      'student learns from all that is left, and stays as it was unless the interval of its gain on held-out real examples lies\n' +
      'above zero. OUT.training has the examples and a report.\n\n' +
      `CONFIG, with paths relative to its folder:\n\n${EXAMPLE}`,
    examples: [
      'frugal data synthesize loop.yaml --dry-run',
      'frugal data synthesize loop.yaml',
      'frugal data synthesize loop.yaml --resume',
    ],
  })
    .argument('<CONFIG>', 'a YAML or JSON file')
    .option('--api-key <KEY>', 'of the endpoint (default: FRUGAL_API_KEY)', process.env.FRUGAL_API_KEY)
    .option('--resume', 'go on after the last round, or within the one that was interrupted')
    .option('--force', 'replace the result, and forget what an earlier run has come to')
    .option('--dry-run', 'check everything and say what would be done');
  addBackendOptions(command).action(async (file: string, options: Options) => {
    const config = await readSynthesis(file);
    const plan = await planSynthesis(config, options, context);
    if (options.dryRun) return describePlan(config, plan, options, context);
    useBackend(options, context);
    const outcome = await synthesize(config, plan, options, context);
    const { out } = config;
    const { stopped, examples, loss } = outcome;
    if (options.json) printJson(context, { out, ...outcome });
    else context.terminal.out(`${reportTable(outcome)}\n`);
    if (examples === 0) {
      throw new CommandError({
        where: out,
        what: 'no round was a gain, so no model is written',
        got: stopped,
        hint: `${out}.training/report.html says what became of each example.`,
      });
    }
    if (!options.json) {
      const change = `${loss.before.toFixed(4)} → ${loss.after.toFixed(4)} nats per token held out`;
      context.terminal.out(`${out}: ${examples} examples, ${change}; ${stopped}\n`);
    }
  });
};

function describePlan(
  { out, rounds, documentsPerRound }: SynthesisConfig,
  { seeds, heldOut }: SynthesisPlan,
  { json }: JsonOption,
  context: Context,
): void {
  const perRound = Math.min(documentsPerRound, seeds.length);
  if (json) {
    printJson(context, { out, rounds, perRound, seeds: seeds.length, heldOut: heldOut.length });
    return;
  }
  context.terminal.out(
    `Would write ${out}: up to ${rounds} rounds, each about ${perRound} of ${seeds.length} documents, scored on ${heldOut.length} real examples\n`,
  );
}
