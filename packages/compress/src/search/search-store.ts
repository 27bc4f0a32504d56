import { readFile, rm } from 'node:fs/promises';
import { saveFile } from '@frugal/checkpoint';
import { CompressError } from '../errors.js';
import type { UnitSensitivity } from './sensitivity.js';

/** A recipe that was run and scored. */
export interface MeasuredCandidate {
  /** The option of each unit, by name. */
  readonly picks: readonly number[];
  readonly bytes: number;
  readonly predicted: number;
  readonly score: number;
  /** Seconds of a new token, where that is what is searched for. */
  readonly latency?: number;
}

/** All that a search has measured: plain JSON. */
export interface SearchState {
  readonly sensitivity: Readonly<Record<string, UnitSensitivity>>;
  readonly scoreBefore?: number;
  readonly candidates: readonly MeasuredCandidate[];
  /** Where several structures are tried: the state of each, by name. */
  readonly structures?: Readonly<Record<string, SearchState>>;
}

/** Keeps what was measured, so that a search goes on after an interruption and ends the same. */
export interface SearchStore {
  readonly state: SearchState;
  save(state: SearchState): Promise<void>;
  /** When the search is over. */
  remove(): Promise<void>;
}

/**
 * A search store in a file, written whole or not at all. `key` names the search (model, options, data).
 * @throws CompressError with `resume` when the file belongs to another search
 */
export async function openSearchStore(
  file: string,
  key: string,
  { resume }: { readonly resume: boolean },
): Promise<SearchStore> {
  const found = resume ? await readFile(file, 'utf8').catch(() => null) : null;
  const stored = found === null ? null : (JSON.parse(found) as { key: string; state: SearchState });
  if (stored && stored.key !== key) {
    throw new CompressError({
      where: file,
      what: 'the interrupted search was another one',
      got: stored.key,
      expected: key,
      hint: 'Start anew without --resume, or with the model, options and texts of that search.',
    });
  }
  return {
    state: stored?.state ?? { sensitivity: {}, candidates: [] },
    save: (state) => saveFile(file, JSON.stringify({ key, state })),
    remove: () => rm(file, { force: true }),
  };
}
