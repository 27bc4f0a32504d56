import { expect, it } from 'vitest';
import { callsOf } from './tool-call.js';

const names = new Set(['f']);

it.each([
  ['an object', '{"name":"f","arguments":{"x":1}}', '{"x":1}'],
  ['its JSON', '{"name":"f","arguments":"{\\"x\\":1}"}', '{"x":1}'],
  ['nothing', '{"name":"f"}', '{}'],
  ['null', '{"name":"f","arguments":null}', '{}'],
])('arguments as %s become what the API takes back', (_, json, expected) => {
  expect(callsOf(json, names, 'arguments')).toEqual([{ name: 'f', arguments: expected }]);
});

it.each(['[1]', '3', '"text"'])('arguments %s are no call', (given) => {
  expect(callsOf(`{"name":"f","arguments":${given}}`, names, 'arguments')).toBeNull();
});
