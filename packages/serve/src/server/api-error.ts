import { EngineError, type EngineErrorCode } from '../engine/errors.js';

/** An answer other than 2xx, in OpenAI's shape. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly param: string | null = null,
  ) {
    super(message);
    this.name = 'ApiError';
  }

  get type(): string {
    if (this.status >= 500) return this.status === 503 ? 'service_unavailable_error' : 'server_error';
    return this.status === 429 ? 'rate_limit_error' : 'invalid_request_error';
  }

  get body(): { error: { message: string; type: string; param: string | null; code: string } } {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } };
  }
}

const ofEngine: Record<EngineErrorCode, { status: number; code: string; param: string | null }> = {
  'unknown-model': { status: 404, code: 'model_not_found', param: 'model' },
  'unknown-adapter': { status: 404, code: 'model_not_found', param: 'model' },
  'wrong-task': { status: 400, code: 'model_does_not_do_this', param: 'model' },
  'no-chat-template': { status: 400, code: 'model_has_no_chat_template', param: 'model' },
  'invalid-request': { status: 400, code: 'invalid_value', param: null },
  'context-length-exceeded': { status: 400, code: 'context_length_exceeded', param: null },
  overloaded: { status: 503, code: 'overloaded', param: null },
  unavailable: { status: 503, code: 'engine_unavailable', param: null },
  closed: { status: 503, code: 'shutting_down', param: null },
  failed: { status: 500, code: 'generation_failed', param: null },
};

/** Codes of fastify for what a client can do wrong before a handler runs. */
const ofFastify: Record<string, { code: string; message: string }> = {
  FST_ERR_CTP_INVALID_JSON_BODY: { code: 'invalid_json', message: 'The body is not valid JSON.' },
  FST_ERR_CTP_EMPTY_JSON_BODY: {
    code: 'invalid_json',
    message: 'The body is empty; expected a JSON object.',
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'unsupported_media_type',
    message: 'The body must be JSON. Send it with the header content-type: application/json.',
  },
  FST_ERR_CTP_BODY_TOO_LARGE: {
    code: 'request_too_large',
    message: 'The body is larger than this server accepts.',
  },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'invalid_content_length',
    message: 'The body does not have the length that its content-length header says.',
  },
};

/** What a client is told of an error. Unexpected ones are not described: their messages may hold anything. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof EngineError) {
    const { status, code, param } = ofEngine[error.code];
    return new ApiError(
      status,
      code,
      status === 500 ? 'The model failed on this request.' : sentence(error),
      param,
    );
  }
  const { code = '', statusCode = 500 } = error as { code?: string; statusCode?: number };
  if (Object.hasOwn(ofFastify, code)) {
    return new ApiError(statusCode, ofFastify[code].code, ofFastify[code].message);
  }
  if (statusCode >= 400 && statusCode < 500) {
    return new ApiError(statusCode, 'invalid_request', 'The request is malformed.');
  }
  return new ApiError(500, 'internal_error', 'The server failed on this request.');
}

/** The message without the place in our code, which means nothing to a client. */
function sentence({ message }: EngineError): string {
  const text = message.replace(/^\[.*?\] /, '');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
