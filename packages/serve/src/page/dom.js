export const byId = (id) => document.getElementById(id);

/** The parts of the page that its script reads and changes. */
export const ui = {
  model: byId('model'),
  other: byId('other'),
  modes: [...document.querySelectorAll('input[name=mode]')],
  settingsButton: byId('settings-button'),
  settings: byId('settings'),
  temperature: byId('temperature'),
  topP: byId('top-p'),
  maxTokens: byId('max-tokens'),
  seed: byId('seed'),
  price: byId('price'),
  keyDialog: byId('key-dialog'),
  key: byId('key'),
  system: byId('system'),
  systemSetting: byId('system-setting'),
  clear: byId('clear'),
  thread: byId('thread'),
  composer: byId('composer'),
  prompt: byId('prompt'),
  send: byId('send'),
  stop: byId('stop'),
  status: byId('status'),
};

export function element(tag, className, text = '') {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

/** Runs `change`, and stays at the end of the thread if the reader was there. */
export function following(change) {
  const { scrollTop, scrollHeight, clientHeight } = ui.thread;
  const atEnd = scrollHeight - scrollTop - clientHeight < 80;
  change();
  if (atEnd) ui.thread.scrollTop = ui.thread.scrollHeight;
}
