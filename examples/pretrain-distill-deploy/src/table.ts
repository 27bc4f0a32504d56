import { renderTable } from '@frugal/report';
import type { Measured } from './evaluate.js';

export function printTable(results: Readonly<Record<string, Measured>>): void {
  const languages = Object.keys(Object.values(results)[0].bitsPerByte);
  console.log(JSON.stringify(languages), renderTable);
}
