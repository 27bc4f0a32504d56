/** JSON of the same length whose strings say nothing: marks and separators within them are not found. */
export function blankStrings(json: string): string {
  return json.replace(/"(?:[^"\\]|\\.)*(?:"|\\?$)/gs, (each) => '"'.padEnd(each.length, '_'));
}

/** The parts between separators that do not stand within strings. */
export function splitOutsideStrings(json: string, separator: RegExp): readonly string[] {
  const parts: string[] = [];
  let from = 0;
  for (const { 0: found, index } of blankStrings(json).matchAll(separator)) {
    parts.push(json.slice(from, index));
    from = index + found.length;
  }
  return [...parts, json.slice(from)];
}
