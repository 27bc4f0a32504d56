import { type GenerationRequest, generateBatch } from '@frugal/tensor-core/generation';
import type { CausalLM } from '@frugal/tensor-core/nn';

/** A question, and how its answer is judged. */
export interface Question {
  readonly prompt: ArrayLike<number>;
  /** Whether an answer is right; left out: all that ended by themselves are. */
  readonly verify?: (answer: readonly number[]) => boolean | Promise<boolean>;
}

export interface AnswerOptions {
  readonly maxTokens: number;
  /** Tokens that end an answer; they are its last. An answer without one was cut off, and is rejected. */
  readonly stopIds: readonly number[];
  /** Attempts for each question. Default 4. */
  readonly attempts?: number;
  /** Default 0.7. */
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
  /** Questions at a time. Default 8. */
  readonly batch?: number;
  readonly signal?: AbortSignal;
}

/** The first answer to a question that was accepted. */
export interface AcceptedAnswer {
  /** Index of the question. */
  readonly question: number;
  readonly answer: Int32Array;
  /** Counted from 1. */
  readonly attempts: number;
}

/**
 * Answers of a teacher for sequence-level distillation (Kim & Rush 2016, arXiv:1606.07947) as DeepSeek-R1 has it
 * (arXiv:2501.12948): sampled, rejected where they are cut off or not verified, tried again; students are then trained on
 * them as on any examples. Questions that the teacher cannot answer give nothing.
 */
export async function* teacherAnswers(
  teacher: CausalLM,
  questions: readonly Question[],
  options: AnswerOptions,
): AsyncGenerator<AcceptedAnswer> {
  const { attempts = 4, batch = 8, signal } = options;
  for (let start = 0; start < questions.length; start += batch) {
    let open = questions.slice(start, start + batch).map((_, i) => start + i);
    for (let attempt = 1; attempt <= attempts && open.length > 0; attempt++) {
      signal?.throwIfAborted();
      const answers = await answer(teacher, questions, open, options, attempt);
      const left: number[] = [];
      for (const [i, ids] of answers.entries()) {
        const question = open[i];
        if (await isAccepted(ids, questions[question], options))
          yield { question, answer: Int32Array.from(ids), attempts: attempt };
        else left.push(question);
      }
      open = left;
    }
  }
}

async function answer(
  teacher: CausalLM,
  questions: readonly Question[],
  chosen: readonly number[],
  { maxTokens, stopIds, temperature = 0.7, topP = 1, seed = 0, attempts = 4, signal }: AnswerOptions,
  attempt: number,
): Promise<number[][]> {
  const requests = chosen.map((question): GenerationRequest => {
    const { prompt } = questions[question];
    // Each attempt at each question has a stream of its own, whatever else is asked.
    const own = seed * 2 ** 20 + question * attempts + attempt;
    return { prompt, maxTokens, stopIds, temperature, topP, seed: own, signal };
  });
  const answers: number[][] = requests.map(() => []);
  for await (const { request, id } of generateBatch(teacher, requests)) answers[request].push(id);
  return answers;
}

async function isAccepted(
  ids: readonly number[],
  { verify }: Question,
  { stopIds }: AnswerOptions,
): Promise<boolean> {
  if (!stopIds.includes(ids[ids.length - 1])) return false;
  return verify ? verify(ids) : true;
}
