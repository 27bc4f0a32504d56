/** Files of MindSpore and PaddlePaddle as their own writers make them, by their descriptions. */

const utf8 = (text: string) => new TextEncoder().encode(text);

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

const message = (number: number, content: Uint8Array) =>
  concat(varint(number * 8 + 2), varint(content.length), content);

export interface MindsporeTensor {
  readonly name: string;
  readonly type: string;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
  /** Dimensions as one packed field, as newer protobuf writes them. */
  readonly packed?: boolean;
}

export function mindsporeFile(tensors: readonly MindsporeTensor[]): Uint8Array {
  return concat(
    ...tensors.map(({ name, type, dims, bytes, packed }) => {
      const shape = packed
        ? message(1, concat(...dims.map(varint)))
        : concat(...dims.map((size) => concat(Uint8Array.of(8), varint(size))));
      const tensor = concat(shape, message(2, utf8(type)), message(3, bytes));
      return message(1, concat(message(1, utf8(name)), message(2, tensor)));
    }),
  );
}
