import { type Claim, formatValue } from './claim.js';

/** One block per claim of the article: what was measured, the value, what it says, and the command. */
export function claimsTable(claims: readonly Claim[]): string {
  const lines: string[] = [];
  for (const claim of new Set(claims.map(({ claim }) => claim))) {
    lines.push(claim);
    for (const each of claims.filter((other) => other.claim === claim)) {
      lines.push(`  ${each.measure}`);
      lines.push(`    ${measuredValue(each)} (promised: ${each.promised}): ${each.verdict}`);
      lines.push(`    ${each.note}`);
      lines.push(`    ${each.command}`);
    }
    lines.push('');
  }
  return lines.join('\n');
}

/** `+0.12 % (0.05 to 0.19)`. */
export function measuredValue({ value, unit, interval }: Claim): string {
  const range = interval
    ? ` (${interval.map((end) => formatValue(end, unit).replace(` ${unit}`, '')).join(' to ')})`
    : '';
  return `${formatValue(value, unit)}${range}`;
}
