import { dirname, relative, resolve } from 'node:path';
import { z } from 'zod';
import { isHubReference } from '../hub/reference.js';
import { checkSettings, readSettingsFile, settings } from '../settings.js';
import type { TrainingOverrides } from '../training/config.js';

const count = z.number().int().positive();
const share = z.number().min(0).max(1);
const files = z.array(z.string()).min(1);
const hint = 'frugal data synthesize --help shows an example.';

/** A model of this machine or the hub, or one behind an endpoint that speaks OpenAI's API. */
const teacherSchema = z.union(
  [z.string(), settings({ url: z.url({ protocol: /^https?$/ }), model: z.string().min(1) })],
  {
    error: ({ input }) =>
      input === undefined ? 'is missing' : 'expected a MODEL, or url and model of an endpoint',
  },
);

const writingSchema = settings({
  /** Asks the teacher for a question about {document}; left out: the document is the question itself. */
  instruction: z.string().includes('{document}', { error: 'must contain {document}' }).optional(),
  /** Asks the teacher for the answer to {instruction}; may show the {document} as well. */
  answer: z
    .string()
    .includes('{instruction}', { error: 'must contain {instruction}' })
    .default('{instruction}'),
  /** Answers to each question, of which the one that most others agree with is kept. */
  answers: count.default(3),
  temperature: z.number().nonnegative().default(0.7),
  topP: z.number().positive().max(1).default(1),
  maxTokens: count.default(128),
  /** Questions at a time. */
  batch: count.default(16),
});

/** See `CandidateRules` and `SyntheticLoopOptions` of @frugal/data. */
const filtersSchema = settings({
  agreement: share.optional(),
  overlap: share.optional(),
  length: z.tuple([count, count]).optional(),
  copies: z.number().positive().max(1).optional(),
  leastDiversity: share.optional(),
  leastDistinct: share.optional(),
  mostPerplexity: z.number().min(1).optional(),
});

const synthesisSchema = settings({
  student: z.string(),
  teacher: teacherSchema,
  seeds: files,
  heldOut: files,
  realText: files.optional(),
  out: z.string(),
  rounds: count.default(3),
  documentsPerRound: count.default(500),
  epochs: z.number().positive().default(2),
  writing: writingSchema.prefault({}),
  filters: filtersSchema.prefault({}),
  seed: z.number().int().nonnegative().default(1),
});

export type TeacherPlace = z.infer<typeof teacherSchema>;
export type WritingConfig = z.infer<typeof writingSchema>;
export interface SynthesisConfig extends z.infer<typeof synthesisSchema> {
  /** As in `frugal pretrain`, without its length: `epochs` is that. */
  readonly training: TrainingOverrides;
}

/**
 * A configuration file in YAML or JSON. Its paths are relative to its folder.
 * @throws CommandError listing every wrong field
 */
export async function readSynthesis(file: string): Promise<SynthesisConfig> {
  const { training = {}, ...others } = (await readSettingsFile(file, hint)) as Record<string, unknown>;
  const config = checkSettings(synthesisSchema, others, file, hint);
  const local = (path: string) => (isHubReference(path) ? path : relative('.', resolve(dirname(file), path)));
  const { student, teacher, seeds, heldOut, realText, out } = config;
  return {
    ...config,
    student: local(student),
    teacher: typeof teacher === 'string' ? local(teacher) : teacher,
    seeds: seeds.map(local),
    heldOut: heldOut.map(local),
    ...(realText && { realText: realText.map(local) }),
    out: local(out),
    training: training as TrainingOverrides,
  };
}
