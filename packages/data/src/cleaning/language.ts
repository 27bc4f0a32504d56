/** Languages that can be told, by their ISO 639-1 codes; `other` is none of them. */
export const LANGUAGES = ['en', 'de', 'fr', 'es', 'it', 'pt', 'nl', 'zh', 'ja', 'ko', 'other'] as const;
export type Language = (typeof LANGUAGES)[number];

/** Frequent words that set languages of the Latin script apart. */
const FUNCTION_WORDS: Readonly<Partial<Record<Language, string>>> = {
  en: 'the and of to is that was with for are this be it have from you not by',
  de: 'der die und das ist nicht ein eine zu den mit von auf für im auch sich dem wird',
  fr: 'le la les des et est une dans que pour pas qui sur au du ce sont avec il',
  es: 'el la los las que y en es una por con para se del su como más lo al',
  it: 'il di che è la per un una non sono del con della gli le si nel più dei',
  pt: 'o que do da em um para é com não uma os no se na por mais as dos',
  nl: 'de het een van en is dat op te zijn niet met voor aan er ook maar die bij',
};
const WORDS = Object.entries(FUNCTION_WORDS).map(
  ([language, words]) => [language as Language, new Set(words.split(' '))] as const,
);
/** What is enough to decide; more takes time and changes nothing. */
const SAMPLE = 4096;
const LEAST_SHARE = 0.06;

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

/**
 * The language of a text, by its script, and among languages of the Latin script by their function words. Looks at the
 * middle of long texts, where there is more text and less furniture. Short texts without function words are `other`.
 */
export function identifyLanguage(text: string): Language {
  const start = Math.max(0, Math.floor((text.length - SAMPLE) / 2));
  const sample = text.slice(start, start + SAMPLE);
  const letters = count(sample, /\p{L}/gu);
  if (letters === 0) return 'other';
  const kana = count(sample, /[\p{Script=Hiragana}\p{Script=Katakana}]/gu);
  const han = count(sample, /\p{Script=Han}/gu);
  if (count(sample, /\p{Script=Hangul}/gu) / letters > 0.3) return 'ko';
  if (kana / letters > 0.1) return 'ja';
  if (han / letters > 0.3) return 'zh';
  return count(sample, /\p{Script=Latin}/gu) / letters > 0.7 ? latinLanguage(sample) : 'other';
}

function latinLanguage(sample: string): Language {
  const words = sample.toLowerCase().match(/\p{L}+/gu) ?? [];
  let [best, bestHits]: [Language, number] = ['other', LEAST_SHARE * words.length];
  for (const [language, known] of WORDS) {
    const hits = words.filter((word) => known.has(word)).length;
    if (hits > bestHits) [best, bestHits] = [language, hits];
  }
  return best;
}
