interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: Element[];
  text: string;
}

/** Reads well-formed markup and throws at everything else: unclosed elements, stray < or &, doubled attributes. */
export function parseMarkup(markup: string): Element {
  const root: Element = { name: '', attributes: new Map(), children: [], text: '' };
  const open = [root];
  const token = /<(\/?)([a-zA-Z][\w:-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/gy;
  while (token.lastIndex < markup.length) {
    const at = token.lastIndex;
    const match = token.exec(markup);
    if (!match) throw new Error(`bad markup at ${at}: ${markup.slice(at, at + 60)}`);
    const [, closing, name, attributes, empty, text] = match;
    const current = open[open.length - 1];
    if (text !== undefined) {
      if (current.name !== 'style' && /&(?!(amp|lt|gt|quot|#39);)/.test(text))
        throw new Error(`bare & in ${text}`);
      current.text += text;
    } else if (closing) {
      if (open.pop()?.name !== name) throw new Error(`</${name}> closes <${current.name}>`);
    } else {
      const pairs = [...attributes.matchAll(/([\w:-]+)="([^"]*)"/g)].map(
        ([, key, value]) => [key, value] as const,
      );
      if (new Set(pairs.map(([key]) => key)).size < pairs.length)
        throw new Error(`an attribute twice in <${name}>`);
      const element: Element = { name, attributes: new Map(pairs), children: [], text: '' };
      current.children.push(element);
      if (!empty) open.push(element);
    }
  }
  if (open.length > 1) throw new Error(`<${open[open.length - 1].name}> is not closed`);
  return root;
}

export function* descendants(element: Element): Generator<Element> {
  for (const child of element.children) {
    yield child;
    yield* descendants(child);
  }
}

export function find(root: Element, name: string, className?: string): Element[] {
  return [...descendants(root)].filter(
    (element) =>
      element.name === name &&
      (className === undefined || (element.attributes.get('class') ?? '').split(' ').includes(className)),
  );
}
