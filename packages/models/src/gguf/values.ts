import type { GgufValue } from '@frugal/checkpoint';

export const u32 = (value: number): GgufValue => ({ type: 'u32', value });
export const f32 = (value: number): GgufValue => ({ type: 'f32', value });
export const text = (value: string): GgufValue => ({ type: 'string', value });
export const flag = (value: boolean): GgufValue => ({ type: 'bool', value });
export const flags = (value: readonly boolean[]): GgufValue => ({ type: 'array', items: 'bool', value });
