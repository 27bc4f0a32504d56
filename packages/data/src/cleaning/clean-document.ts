import type { Document } from '../documents.js';
import type { Verdict } from '../filter-documents.js';
import { CHINESE_RULES } from './chinese-rules.js';
import { ENGLISH_RULES } from './english-rules.js';
import { identifyLanguage, type Language } from './language.js';
import { normalizeText } from './normalize-text.js';
import { type QualityRule, REPETITION_RULES } from './quality-rule.js';
import { TextFacts } from './text-facts.js';

export interface CleaningOptions {
  /** Languages to keep. Default English and Chinese, for which there are rules. */
  readonly languages?: readonly Language[];
  /** Names of rules that are not to be asked. */
  readonly without?: readonly string[];
}

/** The rules that a text in this language is judged by; those for repetition hold for all. */
export function qualityRules(language: Language): readonly QualityRule[] {
  if (language === 'en') return ENGLISH_RULES;
  if (language === 'zh') return CHINESE_RULES;
  if (language === 'ja' || language === 'ko' || language === 'other') return REPETITION_RULES;
  return ENGLISH_RULES.filter(({ name }) => name !== 'hardly a stop word');
}

/** Normalizes a document, and keeps it when its language is wanted and no rule finds it bad; the first that does is the reason. */
export function cleanDocument(document: Document, options: CleaningOptions = {}): Verdict {
  const { languages = ['en', 'zh'], without = [] } = options;
  const text = normalizeText(document.text);
  if (text === '') return { reason: 'empty' };
  const language = identifyLanguage(text);
  if (!languages.includes(language)) return { reason: `language: ${language}` };
  const facts = new TextFacts(text, language === 'zh' || language === 'ja' ? 'Chinese' : 'spaced');
  const broken = qualityRules(language).find(({ name, isBad }) => !without.includes(name) && isBad(facts));
  return broken ? { reason: broken.name } : { keep: { ...document, text } };
}
