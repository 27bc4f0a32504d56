import { readFileSync } from 'node:fs';
import type { Document } from '@frugal/data';
import { parse } from 'csv-parse/sync';

/** An entry of the dictionary; what it does not say is empty. */
export interface Idiom {
  readonly word: string;
  readonly explanation: string;
  readonly source: string;
  readonly example: string;
}

/** The columns of the file; it says 无 for nothing. */
type Row = Readonly<Record<'word' | 'explanation' | 'derivation' | 'example', string>>;

export function readIdioms(file: string, most = Number.POSITIVE_INFINITY): Idiom[] {
  const rows = parse(readFileSync(file), { columns: true, bom: true }) as Row[];
  const said = (text: string) => (text === '无' ? '' : text.trim());
  return rows.slice(0, most).map(({ word, explanation, derivation, example }) => ({
    word: word.trim(),
    explanation: said(explanation),
    source: said(derivation),
    example: said(example).replaceAll('～', word.trim()),
  }));
}

/** An entry as text, one line for each part. */
export function documentOf({ word, explanation, source, example }: Idiom): Document {
  const parts = [`成语：${word}`, `释义：${explanation}`];
  if (source) parts.push(`出处：${source}`);
  if (example) parts.push(`例句：${example}`);
  return { id: `idiom/${word}`, text: parts.join('\n') };
}

/** What a model continues with an explanation that it makes up. */
export const explanationPrompt = (word: string): string => `成语：${word}\n释义：`;

export const questionAbout = (word: string): string => `成语“${word}”是什么意思？`;
