import { describe, expect, it } from 'vitest';
import { findForbidden, isAllowed } from './check-licenses.mjs';

describe('licences', () => {
  it.each(['MIT', '(MIT OR GPL-3.0)', 'MIT AND Apache-2.0', '(BSD-3-Clause AND Zlib)'])(
    '%s is allowed',
    (text) => {
      expect(isAllowed(text)).toBe(true);
    },
  );

  it.each(['GPL-3.0', 'MIT AND GPL-3.0', 'LGPL-2.1', 'Unknown', 'SEE LICENSE IN LICENSE.txt', ''])(
    '%s is not',
    (text) => {
      expect(isAllowed(text)).toBe(false);
    },
  );

  it('are reported by package', () => {
    const listed = {
      MIT: [{ name: 'a', versions: ['1.0.0'] }],
      'AGPL-3.0': [{ name: 'b', versions: ['2.0.0', '3.0.0'] }],
    };
    expect(findForbidden(listed)).toEqual(['b 2.0.0, 3.0.0: AGPL-3.0']);
  });
});
