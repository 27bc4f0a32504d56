/** A message in OpenAI's form. Templates may read more fields, such as `tool_calls`. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly object[] | null;
  readonly [field: string]: unknown;
}

/** Where messages bring what a model thought before its answer; most templates read the first, gpt-oss's the second. */
const thoughtFields = ['reasoning_content', 'thinking', 'reasoning'];

/**
 * Messages as transformers hands them to templates: fields that are null are left out, as most templates would write `None`
 * and know what is missing, and thoughts have the names that templates read.
 */
export function preparedMessages(messages: readonly ChatMessage[]): object[] {
  return messages.map((message) => {
    const given = Object.entries(message).filter(([, value]) => value !== null && value !== undefined);
    const fields = Object.fromEntries(given);
    const name = thoughtFields.find((field) => Object.hasOwn(fields, field));
    if (name === undefined) return fields;
    return { thinking: fields[name], ...fields, reasoning_content: fields[name] };
  });
}
