import { describe, expect, it } from 'vitest';
import { StopStrings } from './stop-strings.js';

function feed(stops: string[], pieces: string[]) {
  const matcher = new StopStrings(stops);
  let out = '';
  for (const piece of pieces) {
    const { text, stopped } = matcher.push(piece);
    out += text;
    if (stopped) return { out, stopped };
  }
  return { out: out + matcher.flush(), stopped: false };
}

describe('StopStrings', () => {
  it('finds a stop string that spans pieces', () => {
    expect(feed(['\n\nUser:'], ['Hello', '\n', '\nUs', 'er: x'])).toEqual({ out: 'Hello', stopped: true });
  });

  it('lets a beginning through that leads nowhere', () => {
    expect(feed(['END'], ['a E', 'N', 'T b', ' EN'])).toEqual({ out: 'a ENT b EN', stopped: false });
  });

  it('ends before the first of several', () => {
    expect(feed(['yz', 'bc'], ['abcyz'])).toEqual({ out: 'a', stopped: true });
  });

  it('holds back no more than it must', () => {
    const matcher = new StopStrings(['aab']);
    expect(matcher.push('xaaa').text).toBe('xa');
    expect(matcher.push('c').text).toBe('aac');
  });

  it('gives the same text however it is cut', () => {
    const text = 'one two three <stop> four';
    for (let size = 1; size < text.length; size++) {
      const pieces = text.match(new RegExp(`.{1,${size}}`, 'gs')) as string[];
      expect(feed(['<stop>', 'zzz'], pieces)).toEqual({ out: 'one two three ', stopped: true });
    }
  });

  it('does nothing without stop strings', () => {
    expect(feed([], ['a', 'b'])).toEqual({ out: 'ab', stopped: false });
  });
});
