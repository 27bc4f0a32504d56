import { describe, expect, it } from 'vitest';
import { ContaminationIndex } from './decontamination.js';

const question = 'Which of these planets has the largest number of known moons and a system of bright rings?';
const chinese = '下列行星之中，哪一颗拥有最多的卫星，并且有明亮的光环？';
const short = 'Who was the first person on the moon?';

describe('ContaminationIndex', () => {
  const index = new ContaminationIndex([
    { id: 'en', text: question },
    { id: 'zh', text: chinese },
    { id: 'short', text: short },
    { id: 'tiny', text: 'What is two and two?' },
  ]);

  it.each([
    [`Before it. ${question.toUpperCase().replaceAll(' ', ' - ')} After it.`, 'en'],
    [`前言。${chinese.replace('，', ' ')}后记。`, 'zh'],
    [`They asked: "${short}" Nobody knew.`, 'short'],
    [question.split(' ').slice(0, 13).join(' '), 'en'],
    [question.split(' ').slice(0, 12).join(' '), undefined],
    ['Who was the first person on the sun?', undefined],
    [[...chinese].reverse().join(''), undefined],
    ['What is two and two?', undefined],
    ['', undefined],
  ])('%j shares a run with %s', (text, id) => {
    expect(index.find(text)).toBe(id);
  });

  it('says which items it cannot look for', () => {
    expect(index.tooShort).toEqual(['tiny']);
    expect(index.size).toBe(3);
  });

  it('refuses lengths that are none', () => {
    expect(() => new ContaminationIndex([], { length: 5 })).toThrow(/expected words, 1 ≤ least ≤ length/);
  });
});
