/**
 * A text on which pre-tokenizers differ: contractions in both cases, digits in runs, spaces and line ends in all
 * combinations, signs before letters, letters of many scripts, marks, emoji.
 */
export const PROBE_TEXT = [
  "I'm you're HE'LL we'd IT'S they've don'T ' s",
  '1 12 123 1234 12345678 3.14 1,000,000 v2.0 x86_64 ١٢٣ Ⅷ ½',
  'a\n\nb \n c\r\n\r\nd\t\te   f    \n\n\n    g      \n',
  'fooBar FooBAR XMLHttpRequest snake_case kebab-case __init__ i++; a/b//c\\d "q" (x)[y]{z} <tag/> #$%&* == != -> ...',
  '你好，世界。我们 3 点见！한국어 텍스트 日本語のテキスト カタカナ ㄅㄆㄇ 𠮷',
  'Größe Ünïcödé naïve Ελληνικά Привет мир שלום عليكم नमस्ते ไทย e\u0301 a\u0308\u0304',
  '🙂👍🏽 👩‍👩‍👧 ™ © → ∑ “quoted” ‘single’ – — … ！？；：\u00a0\u3000\u200b',
  '  leading\nend ',
].join('\n');
