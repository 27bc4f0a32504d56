import type { Candidate, Document } from '@frugal/data';
import type { Context } from '../context.js';
import { withProgress } from '../progress.js';
import type { SynthesisConfig } from './config.js';
import type { Message, Writer } from './writer.js';

/** Seeds of different rounds, documents and answers never meet. */
const [ROUNDS, ANSWERS] = [2 ** 24, 64];

/** The documents of a round: the next ones, from the beginning again when all were used. */
export function documentsOf<T>(seeds: readonly T[], round: number, perRound: number): T[] {
  const count = Math.min(perRound, seeds.length);
  return Array.from({ length: count }, (_, i) => seeds[((round - 1) * count + i) % seeds.length]);
}

/** Lets the teacher ask about documents, and answer each question several times. */
export async function writeCandidates(
  writer: Writer,
  documents: readonly Document[],
  round: number,
  { writing, seed }: Pick<SynthesisConfig, 'writing' | 'seed'>,
  context: Context,
): Promise<Candidate[]> {
  const { instruction, answer, answers, batch } = writing;
  const seedOf = (document: number, draw: number) =>
    ((seed * ROUNDS + round * documents.length + document) * ANSWERS + draw) % 2 ** 31;
  return withProgress(context, `Writing, round ${round}`, async (update) => {
    const candidates: Candidate[] = [];
    for (let start = 0; start < documents.length; start += batch) {
      context.signal.throwIfAborted();
      const some = documents.slice(start, start + batch);
      const questions =
        instruction === undefined
          ? some.map(({ text }) => text)
          : await writer.answer(
              some.map(({ text }, i) => ({
                content: filled(instruction, { document: text }),
                seed: seedOf(start + i, 0),
              })),
            );
      const asked = some.flatMap(({ text }, i) =>
        Array.from({ length: answers }, (_, draw): Message => {
          const content = filled(answer, { document: text, instruction: questions[i].trim() });
          return { content, seed: seedOf(start + i, 1 + draw) };
        }),
      );
      const written = await writer.answer(asked);
      for (const [i, document] of some.entries()) {
        const own = written.slice(i * answers, (i + 1) * answers);
        candidates.push({ instruction: questions[i], answers: own, seed: document });
      }
      update(Math.min(start + batch, documents.length), documents.length);
    }
    return candidates;
  });
}

/** A template with its {names} replaced; what is put in is not looked at again. */
function filled(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}
