import type { Answerer } from './generated-answers.js';

/** An open question, perhaps with follow-ups, as in MT-Bench and SuperCLUE. */
export interface OpenQuestion {
  readonly id: string;
  readonly turns: readonly string[];
  readonly subject?: string | undefined;
}

/** What a model answered, turn by turn. */
export interface OpenAnswer {
  readonly id: string;
  readonly turns: readonly string[];
}

export interface Verdict {
  readonly id: string;
  readonly subject?: string | undefined;
  /** `tie` too where the judge changed its mind when the answers changed places. */
  readonly winner: 'first' | 'second' | 'tie';
  /** What the judge wrote in both orders. */
  readonly reasons: readonly [string, string];
}

export interface JudgedComparison {
  readonly verdicts: readonly Verdict[];
  readonly wins: number;
  readonly losses: number;
  readonly ties: number;
  /** (wins + ties / 2) / questions. */
  readonly winRate: number;
  /** Share of questions on which the judge said the same in both orders. */
  readonly consistency: number;
}

/**
 * Lets a judge compare two lists of answers, each pair in both orders, because judges prefer a place (Zheng et al. 2023,
 * arXiv:2306.05685). Any model may judge; its name belongs beside the result.
 */
export async function judgePairs(
  judge: Answerer,
  questions: readonly OpenQuestion[],
  first: readonly OpenAnswer[],
  second: readonly OpenAnswer[],
): Promise<JudgedComparison> {
  const verdicts: Verdict[] = [];
  let consistent = 0;
  for (const question of questions) {
    const a = turnsOf(first, question.id);
    const b = turnsOf(second, question.id);
    const reasons = [
      await judge(judgePrompt(question, a, b)),
      await judge(judgePrompt(question, b, a)),
    ] as const;
    const [forward, backward] = reasons.map(verdictIn);
    const mirrored = backward === 'A' ? 'B' : backward === 'B' ? 'A' : backward;
    if (forward === mirrored) consistent++;
    const winner = forward !== mirrored || forward === 'C' ? 'tie' : forward === 'A' ? 'first' : 'second';
    const { id, subject } = question;
    verdicts.push({ id, winner, reasons, ...(subject !== undefined && { subject }) });
  }
  const count = (wanted: Verdict['winner']) => verdicts.filter(({ winner }) => winner === wanted).length;
  const [wins, losses, ties] = [count('first'), count('second'), count('tie')];
  const total = questions.length;
  return {
    verdicts,
    wins,
    losses,
    ties,
    winRate: (wins + ties / 2) / total,
    consistency: consistent / total,
  };
}

/** What the judge reads. The verdict is asked for in double brackets, which no answer holds by chance. */
export function judgePrompt(question: OpenQuestion, a: readonly string[], b: readonly string[]): string {
  const talk = (answers: readonly string[]) =>
    question.turns.map((turn, i) => `User: ${turn}\nAssistant: ${answers[i] ?? ''}`).join('\n');
  return [
    'Two assistants answered the same user. Judge which one answered better: correct first, then helpful, then brief.',
    'Neither order nor length may count. Explain in two sentences, then end with exactly one of',
    '[[A]] (the first is better), [[B]] (the second is better), [[C]] (equally good).',
    `\n[The first assistant]\n${talk(a)}`,
    `\n[The second assistant]\n${talk(b)}\n`,
  ].join('\n');
}

/** The last verdict in a judgement; without one it is a tie. */
export function verdictIn(judgement: string): 'A' | 'B' | 'C' {
  return ([...judgement.matchAll(/\[\[([ABC])\]\]/g)].at(-1)?.[1] ?? 'C') as 'A' | 'B' | 'C';
}

function turnsOf(answers: readonly OpenAnswer[], id: string): readonly string[] {
  return answers.find((answer) => answer.id === id)?.turns ?? [];
}
