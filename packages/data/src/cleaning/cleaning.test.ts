import { describe, expect, it } from 'vitest';
import { cleanDocument } from './clean-document.js';
import { identifyLanguage } from './language.js';
import { normalizeText } from './normalize-text.js';
import { TextFacts } from './text-facts.js';

const english = `Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or
twice she had peeped into the book her sister was reading, but it had no pictures or conversations in it, "and what is
the use of a book," thought Alice, "without pictures or conversations?" So she was considering in her own mind, as well
as she could, for the hot day made her feel very sleepy and stupid, whether the pleasure of making a daisy-chain would be
worth the trouble of getting up and picking the daisies, when suddenly a White Rabbit with pink eyes ran close by her.`;
const chinese = `话说天下大势，分久必合，合久必分。周末七国分争，并入于秦；及秦灭之后，楚、汉分争，又并入于汉。汉朝自高祖斩白蛇而起义，一统天下，
后来光武中兴，传至献帝，遂分为三国。推其致乱之由，殆始于桓、灵二帝。桓帝禁锢善类，崇信宦官。及桓帝崩，灵帝即位，大将军窦武、太傅陈蕃共相辅佐。`;

const oneLine = english.replaceAll('\n', ' ');

const reasonOf = (text: string, options = {}) => {
  const verdict = cleanDocument({ id: 'a', text }, options);
  return 'reason' in verdict ? verdict.reason : 'kept';
};
const words = (count: number, word: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => word(i));

describe('cleanDocument', () => {
  it.each([
    ['English prose', english, 'kept'],
    ['Chinese prose', chinese, 'kept'],
    ['nothing', ' \n\u200b\ufeff', 'empty'],
    ['a caption', 'The end of the book and of the story.', 'too few words'],
    ['numbers', `${english} ${words(80, (i) => `${i * 7919}`).join(' ')}`, 'too few words with letters'],
    ['tags', english.replace(/ (?=[a-z])/g, ' #'), 'too many symbols'],
    [
      'bullets',
      oneLine
        .split(/[,:]/)
        .map((line) => `- ${line.trim()}.`)
        .join('\n'),
      'bullet points',
    ],
    ['previews', english.replaceAll('\n', '...\n'), 'lines cut off'],
    ['a placeholder', `Lorem ipsum. ${english}`, 'placeholder text'],
    ['titles', english.replaceAll(/[^\w\s]/g, ''), 'hardly a line ends a sentence'],
    ['a menu', english.replaceAll(/(\S+ \S+) /g, '$1.\n'), 'short lines'],
    ['repeated lines', `${english}\n${english}`, 'repeated lines'],
    ['spam', `${english} ${words(50, () => 'the best casino').join(' ')}.`, 'one phrase over and over'],
    ['a template', `${oneLine} ${oneLine}`, 'repeated phrases'],
    ['a Chinese caption', '三国演义第一回。', 'too few characters'],
    [
      'a mixed table',
      `${chinese}\n${words(90, (i) => `${i * 7919}`).join(' ')}。`,
      'too few Chinese characters',
    ],
    ['Chinese keywords', chinese.replaceAll(/\p{P}/gu, ' '), 'hardly any punctuation'],
    ['Chinese decoration', chinese.replace(/(\p{Script=Han}{2})/gu, '$1…'), 'too much punctuation'],
    ['a Chinese menu', chinese.replaceAll(/[，。；、]/g, '。\n'), 'short lines'],
    ['laughter', `${chinese}${'哈'.repeat(60)}。`, 'one character over and over'],
    ['Chinese twice', `${chinese.replace('\n', '')}${chinese.replace('\n', '')}`, 'repeated phrases'],
  ])('%s', (_, text, reason) => {
    expect(reasonOf(text)).toBe(reason);
  });

  it('keeps the languages that are asked for', () => {
    expect(reasonOf(english, { languages: ['zh'] })).toBe('language: en');
    expect(reasonOf(chinese, { languages: ['en'] })).toBe('language: zh');
  });

  it('leaves out rules that are not wanted', () => {
    expect(
      reasonOf('The end of the book and of the story.', {
        without: ['too few words', 'one phrase over and over'],
      }),
    ).toBe('kept');
  });

  it('keeps id and label', () => {
    const verdict = cleanDocument({ id: 'a', label: 'b', text: `\ufeff${english}\r\n` });
    expect(verdict).toEqual({ keep: { id: 'a', label: 'b', text: english } });
  });
});

describe('normalizeText', () => {
  it.each([
    ['a\r\nb\rc', 'a\nb\nc'],
    ['e\u0301', 'é'],
    ['a\u00a0b\u3000c', 'a b c'],
    ['so\u00adft\u200b \u0007', 'soft'],
    ['a\n\n\n\n\nb  \n', 'a\n\nb'],
    ['half \ud83d pair, whole 😀', 'half \ufffd pair, whole 😀'],
    ['ＡＢＣ，保留', 'ＡＢＣ，保留'],
  ])('%j', (text, normal) => {
    expect(normalizeText(text)).toBe(normal);
    expect(normalizeText(normal)).toBe(normal);
  });

  it('does not take the square of the length of a gap', () => {
    const gap = ' '.repeat(500_000);
    expect(normalizeText(`a${gap}b${gap}\n`)).toBe(`a${gap}b`);
  });
});

describe('identifyLanguage', () => {
  it.each([
    [english, 'en'],
    [chinese, 'zh'],
    ['Der Hund ist nicht in dem Haus, und die Katze sitzt auch auf dem Dach.', 'de'],
    ['Le chat est dans la maison et les chiens sont sur le toit avec une souris.', 'fr'],
    ['El perro y la gata están en la casa, que es más grande por una de las partes.', 'es'],
    ['吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。', 'ja'],
    ['나는 고양이다. 이름은 아직 없다.', 'ko'],
    ['Все счастливые семьи похожи друг на друга.', 'other'],
    ['12345', 'other'],
  ])('%j', (text, language) => {
    expect(identifyLanguage(text)).toBe(language);
  });
});

describe('TextFacts', () => {
  it('measures repetition as a share of characters', () => {
    const facts = new TextFacts('aa bb cc aa bb cc dd', 'spaced'); // 20 characters
    expect(facts.topRunShare(2)).toBeCloseTo((2 * 4) / 20);
    expect(facts.repeatedRunShare(3)).toBeCloseTo(6 / 20);
    expect(new TextFacts('ab\ncd\nab', 'spaced').repeatedLineShare).toBeCloseTo(2 / 8);
  });
});
