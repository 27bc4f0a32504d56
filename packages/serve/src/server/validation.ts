import type { z } from 'zod';
import { ApiError } from './api-error.js';
import { neutralOnly } from './schemas.js';

type Issue = z.core.$ZodIssue;

/** The body as the schema describes it. @throws ApiError 400 that names the first parameter that is wrong */
export function validate<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  throw refusal(innermost(result.error.issues[0]), body);
}

function refusal(issue: Issue, body: unknown): ApiError {
  const param = pathOf(issue.path);
  const [first] = issue.path;
  if (typeof first === 'string' && Object.hasOwn(neutralOnly, first)) {
    const message = `This server does not support '${first}': leave it out, or send its neutral value.`;
    return new ApiError(400, 'unsupported_parameter', message, first);
  }
  if (issue.code === 'unrecognized_keys') {
    const name = pathOf([...issue.path, issue.keys[0]]);
    return new ApiError(
      400,
      'unsupported_parameter',
      `This server does not support the parameter '${name}'.`,
      name,
    );
  }
  if (param === '') return new ApiError(400, 'invalid_type', 'The body must be a JSON object.');
  if (valueAt(body, issue.path) === undefined) {
    return new ApiError(400, 'missing_required_parameter', `The parameter '${param}' is missing.`, param);
  }
  const code = issue.code === 'invalid_type' ? 'invalid_type' : 'invalid_value';
  return new ApiError(400, code, `The parameter '${param}' is wrong: ${lowerFirst(issue.message)}.`, param);
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key],
    body,
  );
}

/** Of a union, the problem of the variant that was most likely meant: the one that got furthest. */
function innermost(issue: Issue): Issue {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return issue;
  const firsts = issue.errors.map((variant) => innermost(variant[0]));
  const deepest = firsts.reduce((best, each) => (each.path.length > best.path.length ? each : best));
  if (deepest.path.length > 0) return { ...deepest, path: [...issue.path, ...deepest.path] };
  const specific = firsts.find(({ code }) => code !== 'invalid_type');
  if (specific) return { ...specific, path: issue.path };
  const kinds = firsts.map((each) => (each.code === 'invalid_type' ? each.expected : each.code));
  const message = `Invalid input: expected ${[...new Set(kinds)].join(' or ')}`;
  return { ...firsts[0], path: issue.path, message };
}

/** `['messages', 0, 'role']` → `messages[0].role`. */
function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`;
    return text ? `${text}.${String(key)}` : String(key);
  }, '');
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
