import { describe, expect, it } from 'vitest';
import {
  chooseByLikelihood,
  chosenLetter,
  compareResults,
  evaluationPage,
  judgePairs,
  matchesAnswer,
  multipleChoicePrompt,
  readGeneration,
  readMultipleChoice,
  runTask,
} from '../src/index.js';
import { byteTokenizer, tinyModel } from './support/tiny.js';

describe('readMultipleChoice', () => {
  const expected = { question: '1+1=?', choices: ['1', '2', '3', '4'], answer: 1 };
  it.each([
    ['C-Eval', 'csv', 'id,question,A,B,C,D,answer,explanation\n0,1+1=?,1,2,3,4,B,因为'],
    ['CMMLU', 'csv', ',Question,A,B,C,D,Answer\n0,1+1=?,1,2,3,4,B'],
    ['MMLU', 'csv', '1+1=?,1,2,3,4,B'],
    ['a list with an index', 'jsonl', '{"question":"1+1=?","choices":["1","2","3","4"],"answer":1}'],
    [
      'ARC',
      'jsonl',
      '{"question":"1+1=?","choices":{"text":["1","2","3","4"],"label":["A","B","C","D"]},"answerKey":"B"}',
    ],
    [
      'options by letter',
      'jsonl',
      '{"question":"1+1=?","options":{"A":"1","B":"2","C":"3","D":"4"},"answer":"B"}',
    ],
    [
      'labels that are numbers',
      'jsonl',
      '{"question":"1+1=?","choices":{"text":["1","2","3","4"],"label":[1,2,3,4]},"answerKey":2}',
    ],
    ['lines', 'jsonl', '{"question":"1+1=?","options":"A. 1\\nB. 2\\nC. 3\\nD. 4","answer":"B. 2"}'],
    [
      'CommonsenseQA',
      'jsonl',
      '{"question":{"stem":"1+1=?","choices":[{"label":"A","text":"1"},{"label":"B","text":"2"},{"label":"C","text":"3"},{"label":"D","text":"4"}]},"answerKey":"B"}',
    ],
  ] as const)('reads %s', (_, format, text) => {
    expect(readMultipleChoice(text, { format, subject: 'arithmetic' })).toMatchObject([
      { ...expected, subject: 'arithmetic' },
    ]);
  });

  it('keeps commas, quotes and line ends inside of fields', () => {
    const [item] = readMultipleChoice('question,A,B,answer\n"Who said ""no"",\nand why?",x,"y, z",A\n', {
      format: 'csv',
    });
    expect(item).toMatchObject({ question: 'Who said "no",\nand why?', choices: ['x', 'y, z'], answer: 0 });
  });

  it('lists all items that cannot be read', () => {
    const text =
      '{"question":"","choices":["a","b"],"answer":0}\nnot json\n{"question":"q","choices":["a","b"],"answer":"E"}';
    expect(() => readMultipleChoice(text, { format: 'jsonl', where: 'x.jsonl' })).toThrow(
      /x\.jsonl.*3 items.*line 1: no question; line 2: not JSON; line 3: the answer "E"/,
    );
    const long = 'question,A,B,answer\n"of two\nlines",x,y,A\nq,x,y,C\n';
    expect(() => readMultipleChoice(long, { format: 'csv' })).toThrow(/line 4: the answer "C"/);
    expect(() => readMultipleChoice('', { format: 'csv' })).toThrow(/no items/);
  });
});

const items = readMultipleChoice('question,A,B,answer\nq?,x,yy,A\nr?,v,w,B\ns?,t,u,B', { format: 'csv' });

describe('prompts', () => {
  it('stand in the style of MMLU, with solved examples', () => {
    const prompt = multipleChoicePrompt({ ...items[0], subject: 'high_school_physics' }, [items[1]], {
      style: 'letter',
      language: 'en',
    });
    expect(prompt).toBe(
      'The following are multiple choice questions (with answers) about high school physics.\n\n' +
        'r?\nA. v\nB. w\nAnswer: B\n\nq?\nA. x\nB. yy\nAnswer:',
    );
  });

  it.each([
    ['B', 1],
    ['The answer is (C).', 2],
    ['答案是：D。因为A不对', 3],
    ['**A** because B is wrong', 0],
    ['I think option B', 1],
    ["A: it's so", 0],
    ['我选C', 2],
    ["I can't say", undefined],
    ['The answer is a mammal, so B.', 1],
    ['the answer is (b).', 1],
    ['E', undefined],
  ])('a letter is found in %j', (text, letter) => expect(chosenLetter(text, 4)).toBe(letter));
});

describe('chooseByLikelihood', () => {
  it('leaves out examples that do not fit, and says how many it used', async () => {
    const tokenizer = byteTokenizer({ bos: false });
    const options = { style: 'text', shots: 2, examples: items.slice(1) } as const;
    const [alone] = await chooseByLikelihood(tinyModel(), tokenizer, [items[0]], options);
    expect(alone.shots).toBe(0); // 32 tokens of context hold the question alone
    expect(alone.logLikelihoods).toHaveLength(2);
    const long = { ...items[0], question: 'q'.repeat(40) };
    await expect(chooseByLikelihood(tinyModel(), tokenizer, [long], { style: 'text' })).rejects.toThrow(
      /does not fit/,
    );
  });
});

describe('runTask', () => {
  const task = { type: 'multiple-choice', name: 'letters', items, style: 'text' } as const;
  const tokenizer = byteTokenizer({ bos: false }) as never;

  it('compares two models item by item, and draws a page', async () => {
    const [a, b] = await Promise.all(
      [1, 2].map((seed) => runTask({ model: tinyModel(seed), tokenizer }, task)),
    );
    const comparison = compareResults(a, b);
    expect(comparison.accuracy?.items).toBe(3);
    const against = { model: 'dense', tasks: [a], comparisons: [comparison], divergence: null };
    const page = evaluationPage({ model: 'small <b>', tasks: [b], against });
    expect(page).toContain('letters');
    expect(page).toContain('small &lt;b&gt;');
    const other = await runTask({ model: tinyModel(), tokenizer }, { ...task, items: items.slice(1) });
    expect(() => compareResults(a, other)).toThrow(/not asked the same/);
  });

  it('lets a model write its choice', async () => {
    const answer = async (prompt: string) => (prompt.includes('q?\n') ? 'A' : 'no idea');
    const result = await runTask(
      { model: tinyModel(), tokenizer, answer },
      { ...task, answer: 'generation' },
    );
    expect(result.accuracy).toMatchObject({ items: 3, correct: 1 });
    await expect(
      runTask({ model: tinyModel(), tokenizer }, { ...task, answer: 'generation' }),
    ).rejects.toThrow(/writes answers/);
  });
});

describe('matchesAnswer', () => {
  it.each([
    ['exact', 'The Eiffel Tower.', 'eiffel tower', true],
    ['exact', 'ＡＢＣ', 'abc', true],
    ['contains', 'It is Paris, I think', 'paris', true],
    ['regex', 'E11.9', '^E11', true],
    ['number', 'so 1,200 + 34 = 1,234.', '1234', true],
    ['number', 'none', 'none', false],
    ['number', 'It is \u22125 degrees', '-5', true],
    ['number', '答案是-5。', '-5', true],
    ['number', 'between 10-12', '12', true],
    ['number', 'GPT-4', '-4', false],
    ['number', '.5', '0.5', true],
    ['number', 'see Eq.5', '5', true],
    ['number', 'x = 5', '.5', false],
    ['number', 'about 1e-3', '0.001', true],
    ['exact', '5', '-5', false],
    ['exact', '3.5', '35', false],
    ['exact', '>', '<', false],
    ['exact', '', '<', false],
    ['contains', 'anything', '+', false],
    ['json', 'Sure:\n```json\n{"b":[1],"a":2}\n```', '{"a":2,"b":[1]}', true],
    ['json', 'Here {"a":2} it is', '{"a":2}', true],
    ['json', '{"a":2', '{"a":2}', false],
  ] as const)('%s: %j is %j', (match, answer, expected, right) => {
    expect(matchesAnswer(answer, { match, expected: [expected] })).toBe(right);
  });

  it('reads items with several right answers', () => {
    const [item] = readGeneration('{"prompt":"2+2","answer":[4,"four"],"match":"contains"}', {
      format: 'jsonl',
    });
    expect(matchesAnswer('It is four.', item)).toBe(true);
    expect(() => readGeneration('{"prompt":"p","answer":"a","match":"fuzzy"}', { format: 'jsonl' })).toThrow(
      /fuzzy/,
    );
  });
});

describe('readGeneration', () => {
  it.each([
    ['json', '{"a":', /expected "{\\"a\\":" as json: /],
    ['regex', '(', /as regex: Invalid regular expression/],
    ['number', 'four', /as number: no number/],
    ['contains', ' ', /as contains: nothing, which every answer contains/],
    ['regex', '', /as regex: nothing/],
  ])('refuses what can only be wrong or only be right: %s %j', (match, answer, message) => {
    const line = JSON.stringify({ prompt: 'p', answer, match });
    expect(() => readGeneration(line, { format: 'jsonl', where: 'x.jsonl' })).toThrow(message);
  });
});

describe('judgePairs', () => {
  const questions = [{ id: '1', turns: ['Why?', 'And then?'] }];
  const answers = (text: string) => [{ id: '1', turns: [text, text] }];

  it('a judge that prefers a place decides nothing', async () => {
    const result = await judgePairs(
      async () => 'The first. [[A]]',
      questions,
      answers('excellent'),
      answers('terrible'),
    );
    expect(result).toMatchObject({ ties: 1, winRate: 0.5, consistency: 0 });
  });

  it('a judge that reads the answers does', async () => {
    const judge = async (prompt: string) =>
      prompt.indexOf('excellent') < prompt.indexOf('terrible') ? '[[A]]' : '[[B]]';
    const result = await judgePairs(judge, questions, answers('excellent'), answers('terrible'));
    expect(result).toMatchObject({ wins: 1, winRate: 1, consistency: 1 });
  });
});
