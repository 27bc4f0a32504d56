import { ui } from './dom.js';

// For this tab alone: a key must not outlive it.
const storedKey = 'frugal-key';

/** Asks for the key of the server until the user gives one; null: the user gave up. */
async function askForKey() {
  ui.keyDialog.showModal();
  await new Promise((resolve) => ui.keyDialog.addEventListener('close', resolve, { once: true }));
  if (ui.keyDialog.returnValue !== 'ok' || ui.key.value === '') return null;
  sessionStorage.setItem(storedKey, ui.key.value.trim());
  return ui.key.value;
}

/** A request with the key of the server, if it has one. Throws an Error with the server's message. */
export async function ask(path, options = {}) {
  const key = sessionStorage.getItem(storedKey);
  const headers = { ...options.headers, ...(key && { authorization: `Bearer ${key}` }) };
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401 && (await askForKey()) !== null) return ask(path, options);
  if (!response.ok) throw new Error(await messageOf(response));
  return response;
}

/** The events of a streamed answer. Throws an Error with the server's message. */
export async function* streamed(path, body, signal) {
  const response = await ask(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error('The answer broke off: the server closed the connection.');
    const events = (rest + value).split('\n\n');
    rest = events.pop();
    for (const event of events) {
      if (!event.startsWith('data: ')) continue;
      const data = event.slice('data: '.length);
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      yield chunk;
    }
  }
}

async function messageOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `The server answered ${response.status}.`;
  }
}
