import { configOfLayers } from '@frugal/compress';
import { initializeStudent } from '@frugal/distill';
import { createModel } from '@frugal/models';
import type { CausalLM } from '@frugal/tensor-core/nn';
import type { Tokenizer } from '@frugal/tokenizers';
import type { Context } from '../context.js';
import { CommandError, UsageError } from '../errors.js';
import { modelPath, openModel, openTokenizer } from '../model.js';
import { readPartialExperiment, type TrainingOverrides } from '../training/config.js';

/** What a student begins with. */
export interface StudentOrigin {
  readonly tokenizer: Tokenizer;
  readonly seed: number;
  /** Opens the teacher, for a student that is made of it. */
  teacher(): Promise<CausalLM>;
}

/** The student as it comes: a model to start from, the config of a new one, or some layers of the teacher. */
export interface StudentSource {
  readonly training: TrainingOverrides | undefined;
  /** The same student every time. */
  open(origin: StudentOrigin, context: Context): Promise<CausalLM>;
}

/** Whether a student is described, rather than there. */
export function isConfigFile(named: string): boolean {
  return /\.(ya?ml|json)$/i.test(named);
}

/** @throws UsageError when nothing says what the student is */
export async function studentSource(
  named: string | undefined,
  layers: readonly number[] | undefined,
): Promise<StudentSource> {
  if (named === undefined) return ofLayers(layers);
  if (!isConfigFile(named)) {
    if (layers) {
      throw new UsageError({
        where: '--student-layers',
        what: 'it makes a new student, and --student names one that exists',
        got: named,
        expected: 'a YAML or JSON file, or no --student',
      });
    }
    return existing(named);
  }
  const { model, training } = await readPartialExperiment(named);
  return {
    training,
    async open({ tokenizer, seed, teacher }) {
      const student = createModel({ vocab_size: tokenizer.vocabularySize, ...model }, { seed });
      if (layers) await initializeStudent(student, await teacher(), layers);
      return student;
    },
  };
}

/** A student of the teacher's width that has some of its layers. */
function ofLayers(layers: readonly number[] | undefined): StudentSource {
  if (!layers) {
    throw new UsageError({
      where: 'distill',
      what: 'nothing says what the student is',
      expected: '--student or --student-layers',
    });
  }
  return {
    training: undefined,
    async open({ seed, teacher }) {
      const whole = await teacher();
      const { quantization_config: _, ...config } = configOfLayers(whole.config, whole.blocks.length, layers);
      const student = createModel(config, { seed });
      await initializeStudent(student, whole, layers);
      return student;
    },
  };
}

function existing(named: string): StudentSource {
  return {
    training: undefined,
    async open({ tokenizer }, context) {
      const path = await modelPath(named, context);
      await requireSameTokenizer(path, tokenizer);
      return openModel(path, context);
    },
  };
}

/** Ids must mean the same to both, or the student learns nonsense. */
export async function requireSameTokenizer(student: string, teacher: Tokenizer): Promise<void> {
  const { fingerprint } = await openTokenizer(student);
  if (fingerprint === teacher.fingerprint) return;
  throw new CommandError({
    where: student,
    what: 'student and teacher have different tokenizers',
    got: fingerprint.slice(0, 12),
    expected: teacher.fingerprint.slice(0, 12),
    hint: 'Use a student that was made with the tokenizer of the teacher.',
  });
}
