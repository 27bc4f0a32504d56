import { formatDuration, formatNumber } from '@frugal/report';
import { addBackendOptions, type BackendOptions, useBackend } from '../backend.js';
import { printJson } from '../context.js';
import type { Comparison } from '../distillation/compare-arms.js';
import { type DistillOptions, distill } from '../distillation/distill.js';
import { CACHED_TOKENS } from '../distillation/fill-cache.js';
import { addLossOptions, checkLossFlags } from '../distillation/options.js';
import { isConfigFile } from '../distillation/student-source.js';
import { UsageError } from '../errors.js';
import { addTrainingOptions } from '../training/options.js';
import { addTeamOptions, inTeam, isMain, launchedTeam, type TeamFlags } from '../training/team.js';
import { addVerb, integerList, type JsonOption, MODEL_ARGUMENT, type Verb } from '../verb.js';

type Options = DistillOptions & BackendOptions & TeamFlags & JsonOption;

export const distillVerb: Verb = (program, context) => {
  const command = addVerb(program, {
    name: 'distill',
    summary: 'train a student to predict what a teacher predicts',
    notes:
      'The student is a model to start from, a YAML file with model and training as in frugal pretrain --help, or some\n' +
      "layers of the teacher; a YAML file with --student-layers begins with the teacher's weights. --control trains the\n" +
      'same student on the same tokens without a teacher first (OUT.control), and says on held-out documents, with a\n' +
      'confidence interval, what the teacher was good for.',
    examples: [
      'frugal distill --teacher runs/teacher --student student.yaml --data data/packed --out runs/student',
      'frugal distill --teacher runs/teacher --student runs/small --data data/packed --out runs/healed --steps 200',
      'frugal distill --teacher runs/teacher --student runs/small --data data/packed --out runs/healed --teacher-cache cache',
      'frugal distill --teacher runs/teacher --student-layers 0,3,7 --loss skew-kl --data data/packed --steps 400 \\\n' +
        '    --control --held-out held-out.jsonl --out runs/student',
      'frugal distill --teacher hf:org/large --student runs/small --loss uld --data data/packed --out runs/taught',
      'frugal distill --teacher runs/large --student runs/small --loss sequence --data questions.jsonl --out runs/taught',
    ],
  })
    .requiredOption('--teacher <MODEL>', MODEL_ARGUMENT[1])
    .option('--student <MODEL|CONFIG>', 'a model, or a YAML or JSON file')
    .option('--student-layers <LIST>', 'layers of the teacher that the student begins with', integerList)
    .option(
      '--teacher-cache <DIR>',
      `ask the teacher first, keep its likeliest tokens (--top-k, default ${CACHED_TOKENS}) there, and train without it`,
    )
    .option(
      '--teacher-url <URL>',
      'the teacher is model MODEL of an OpenAI-compatible endpoint: URL ends in /v1',
    )
    .option('--api-key <KEY>', 'of the endpoint (default: FRUGAL_API_KEY)', process.env.FRUGAL_API_KEY)
    .requiredOption(
      '--data <DIR|FILE>',
      'made by frugal data pack, with the tokenizer of the student; --loss sequence: questions, as texts or conversations',
    )
    .requiredOption('--out <DIR>', 'where the model goes')
    .option('--control', 'measure what the teacher is good for; needs --held-out')
    .option('--held-out <FILE...>', 'documents for --control: text files, or .jsonl')
    .option('--resume', 'go on from the last checkpoint')
    .option('--force', 'replace the result, and forget checkpoints');
  addBackendOptions(addTeamOptions(addTrainingOptions(addLossOptions(command)))).action(
    async (options: Options) => {
      const team = launchedTeam(options);
      checkFlags(options);
      useBackend(options, context);
      await inTeam(team?.settings, team?.rank, context, async (distributed) => {
        const { record, comparison } = await distill(options, distributed, context);
        if (!isMain(distributed)) return;
        if (options.json)
          return printJson(context, {
            out: options.out,
            ...record,
            ...(comparison && { control: comparison }),
          });
        const facts = `${formatNumber(record.tokens)} tokens in ${formatDuration(record.seconds)}, loss ${record.loss?.toFixed(4)}`;
        context.terminal.out(`${options.out}: ${facts}\n`);
        if (comparison) context.terminal.out(describe(comparison));
      });
    },
  );
};

/** @throws UsageError for flags that do not go together */
function checkFlags({ control, heldOut, teacherCache, teacherUrl, ...options }: Options): void {
  checkLossFlags(options);
  const isOther = options.loss === 'uld' || options.loss === 'sequence';
  const wrong: Readonly<Record<string, boolean>> = {
    '--control and --held-out belong together': Boolean(control) !== Boolean(heldOut),
    '--teacher-url needs --teacher-cache': Boolean(teacherUrl) && teacherCache === undefined,
    '--teacher-url needs a model as --student, whose tokenizer is that of the teacher':
      Boolean(teacherUrl) && (options.student === undefined || isConfigFile(options.student)),
    '--teacher-url gives distributions of temperature 1': Boolean(teacherUrl) && options.temperature !== 1,
    '--teacher-cache holds no hidden states: leave out --hidden':
      teacherCache !== undefined && options.hidden !== undefined,
    '--teacher-cache knows nothing of what the student writes: leave out --on-policy':
      teacherCache !== undefined && Boolean(options.onPolicy),
    '--teacher-cache needs a teacher to be asked: --alpha above 0':
      teacherCache !== undefined && options.alpha === 0,
    [`--loss ${options.loss} asks its teacher while it trains: leave out --teacher-cache`]:
      teacherCache !== undefined && isOther,
    '--loss uld needs a model as --student, which has its own tokenizer':
      options.loss === 'uld' && (options.student === undefined || isConfigFile(options.student)),
    '--loss uld needs a student that exists: leave out --student-layers':
      options.loss === 'uld' && options.studentLayers !== undefined,
    '--loss sequence has no arm without a teacher: leave out --control':
      options.loss === 'sequence' && Boolean(control),
  };
  for (const [what, isWrong] of Object.entries(wrong))
    if (isWrong) throw new UsageError({ where: 'distill', what });
}

function describe({ taught, alone, gain }: Comparison): string {
  const { difference, low, high, confidence, documents } = gain;
  const interval = `${low.toFixed(4)} to ${high.toFixed(4)}`;
  const verdict = low > 0 ? 'the teacher helped' : high < 0 ? 'the teacher harmed' : 'no difference is shown';
  return (
    `held out: ${taught.toFixed(4)} bits per byte, ${alone.toFixed(4)} without the teacher\n` +
    `gain ${difference.toFixed(4)}, ${Math.round(confidence * 100)} % interval ${interval} over ${documents} documents: ${verdict}\n`
  );
}
