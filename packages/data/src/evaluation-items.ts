import type { EvaluationItem } from './decontamination.js';
import { holdsRecords, readDocuments, readRecords } from './sources/documents.js';

/**
 * The texts of evaluation sets: every string in each record of a file of records, whatever its fields are called, and each
 * paragraph of other files.
 * @throws DataError naming file and line of what cannot be read
 */
export async function* readEvaluationItems(paths: Iterable<string>): AsyncGenerator<EvaluationItem> {
  for (const path of paths) {
    if (holdsRecords(path)) {
      for await (const { place, value } of readRecords(path)) yield* stringsOf(value, place);
      continue;
    }
    for await (const { text } of readDocuments([path])) {
      for (const [i, paragraph] of text.split(/\n\s*\n/).entries()) {
        yield { id: `${path}#${i + 1}`, text: paragraph };
      }
    }
  }
}

function* stringsOf(value: unknown, id: string): Generator<EvaluationItem> {
  if (typeof value === 'string') yield { id, text: value };
  else if (typeof value === 'object' && value !== null) {
    for (const [key, part] of Object.entries(value)) yield* stringsOf(part, `${id}.${key}`);
  }
}
