import type { ByteSource } from '../byte-source.js';
import { CheckpointFormatError, show } from '../errors.js';
import { PickleReader } from './pickle-reader.js';
import {
  ALLOWED_NAMES,
  PickledArray,
  PickledBytes,
  PickledDType,
  PickledMap,
  PickledName,
  type PickledValue,
} from './pickle-values.js';

const MAX_STEPS = 2 ** 24;

/**
 * Reads a pickle (protocols 2 to 4) of plain containers and numpy arrays. Nothing in it is ever called: the few names
 * that such pickles need are known here, all others are refused. Numbers of arrays stay in the file.
 * Throws {@link CheckpointFormatError}.
 */
export async function readPickle(source: ByteSource): Promise<PickledValue> {
  return new Machine(source).run();
}

/** The stack machine that pickles are programs for (Python's `pickletools`). */
class Machine {
  private readonly reader: PickleReader;
  private stack: PickledValue[] = [];
  private readonly marks: PickledValue[][] = [];
  private readonly memo = new Map<number, PickledValue>();

  constructor(private readonly source: ByteSource) {
    this.reader = new PickleReader(source);
  }

  async run(): Promise<PickledValue> {
    for (let step = 0; step < MAX_STEPS; step++) {
      const code = await this.reader.byte();
      if (code === 0x2e) return this.pop(); // .
      await this.execute(code);
    }
    return this.fail('a pickle of too many steps');
  }

  private async execute(code: number): Promise<void> {
    const { reader } = this;
    const simple = CONSTANTS.get(code);
    if (simple) return this.push(simple());
    switch (code) {
      case 0x80: // PROTO
        return void (await reader.byte());
      case 0x95: // FRAME
        return void (await reader.long(8));
      case 0x28: // MARK
        this.marks.push(this.stack);
        this.stack = [];
        return;
      case 0x4b: // BININT1
        return this.push(await reader.byte());
      case 0x4d: // BININT2
        return this.push(await reader.long(2));
      case 0x4a: // BININT
        return this.push((await reader.long(4)) | 0);
      case 0x8a: // LONG1
        return this.push(await reader.signed(await reader.byte()));
      case 0x47: // BINFLOAT
        return this.push(await reader.double());
      default:
        return this.executeData(code);
    }
  }

  private async executeData(code: number): Promise<void> {
    const { reader } = this;
    const text = TEXTS.get(code);
    if (text) return this.push(await reader.text(await reader.long(text)));
    const bytes = BYTES.get(code);
    if (bytes) {
      const length = await reader.long(bytes);
      return this.push(new PickledBytes(reader.skip(length), length));
    }
    const put = PUTS.get(code);
    if (put) return void this.memo.set(await reader.long(put), this.top());
    const get = GETS.get(code);
    if (get) return this.push(this.remembered(await reader.long(get)));
    if (code === 0x94) return void this.memo.set(this.memo.size, this.top()); // MEMOIZE
    if (code === 0x63) return this.push(this.named(await reader.line(), await reader.line())); // GLOBAL
    return this.executeStack(code);
  }

  private executeStack(code: number): void {
    switch (code) {
      case 0x93: {
        const [module, name] = this.take(2); // STACK_GLOBAL
        this.push(this.named(String(module), String(name)));
        break;
      }
      case 0x85: // TUPLE1 to 3
      case 0x86:
      case 0x87:
        this.push(this.take(code - 0x84));
        break;
      case 0x74: // TUPLE
        this.push(this.sinceMark());
        break;
      case 0x61: // APPEND
        this.append(this.take(1));
        break;
      case 0x65: // APPENDS
        this.append(this.sinceMark());
        break;
      case 0x73: // SETITEM
        this.setItems(this.take(2));
        break;
      case 0x75: // SETITEMS
        this.setItems(this.sinceMark());
        break;
      case 0x52: // REDUCE
      case 0x81: {
        const [callee, args] = this.take(2); // NEWOBJ
        this.push(this.make(callee, args));
        break;
      }
      case 0x62: {
        const [state] = this.take(1); // BUILD
        this.build(this.top(), state);
        break;
      }
      default:
        this.fail('a pickle instruction that is not read here', `0x${code.toString(16)}`);
    }
  }

  /** @throws CheckpointFormatError for names that could run code */
  private named(module: string, name: string): PickledName {
    const full = `${module}.${name}`;
    if (Object.hasOwn(ALLOWED_NAMES, full)) return new PickledName(ALLOWED_NAMES[full]);
    return this.fail('the pickle wants to call what is not a number array', show(full));
  }

  private make(callee: PickledValue, args: PickledValue): PickledValue {
    if (!(callee instanceof PickledName) || !Array.isArray(args))
      return this.fail('a pickle calls no function');
    switch (callee.name) {
      case 'reconstruct':
        return new PickledArray();
      case 'dtype':
        return new PickledDType(String(args[0]));
      case 'OrderedDict':
        return new PickledMap();
      case 'encode':
        return this.encode(args);
      case 'tuple':
        return Array.isArray(args[0]) ? args[0] : [];
      case 'ndarray':
        return this.fail('a numpy array without its contents');
    }
  }

  private encode([text, encoding]: readonly PickledValue[]): PickledBytes {
    if (typeof text !== 'string' || encoding !== 'latin1') return this.fail('bytes in an unknown encoding');
    return new PickledBytes(
      0,
      text.length,
      Uint8Array.from(text, (character) => character.charCodeAt(0)),
    );
  }

  private build(target: PickledValue, state: PickledValue): void {
    if (!Array.isArray(state)) this.fail('an object with a state that is not read here');
    if (target instanceof PickledDType) target.order = String(state[1]);
    else if (target instanceof PickledArray) {
      const [, shape, dtype, fortran, bytes] = state;
      const isShape = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size));
      if (!isShape || !(dtype instanceof PickledDType) || !(bytes instanceof PickledBytes))
        this.fail('a numpy array that is not read here');
      Object.assign(target, { shape, dtype, bytes, fortran: fortran === true });
    } else this.fail('an object with a state that is not read here');
  }

  private append(items: readonly PickledValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) this.fail('a pickle appends to what is no list');
    for (const item of items) list.push(item);
  }

  private setItems(items: readonly PickledValue[]): void {
    const map = this.top();
    if (!(map instanceof PickledMap) || items.length % 2 !== 0) this.fail('a pickle sets items of no dict');
    for (let i = 0; i < items.length; i += 2) map.entries.push([items[i], items[i + 1]]);
  }

  private push(value: PickledValue): void {
    this.stack.push(value);
  }
  private pop(): PickledValue {
    return this.take(1)[0];
  }
  private top(): PickledValue {
    return this.stack.length > 0
      ? this.stack[this.stack.length - 1]
      : this.fail('a pickle with an empty stack');
  }
  private take(count: number): PickledValue[] {
    if (this.stack.length < count) return this.fail('a pickle with an empty stack');
    return this.stack.splice(-count);
  }
  private sinceMark(): PickledValue[] {
    const items = this.stack;
    this.stack = this.marks.pop() ?? this.fail('a pickle without a mark');
    return items;
  }
  private remembered(index: number): PickledValue {
    const value = this.memo.get(index);
    return value === undefined ? this.fail('a pickle remembers nothing', String(index)) : value;
  }
  private fail(what: string, got?: string): never {
    const { name: file } = this.source;
    const hint =
      'Only files that paddle.save wrote for weights are read; convert others to safetensors in Python.';
    throw new CheckpointFormatError({ file, offset: this.reader.position, what, ...(got && { got }), hint });
  }
}

/** Instructions with data, and how many bytes their length or place has. */
const TEXTS = new Map([
  [0x8c, 1], // SHORT_BINUNICODE
  [0x58, 4], // BINUNICODE
  [0x8d, 8], // BINUNICODE8
]);
const BYTES = new Map([
  [0x43, 1], // SHORT_BINBYTES
  [0x42, 4], // BINBYTES
  [0x8e, 8], // BINBYTES8
  [0x96, 8], // BYTEARRAY8
]);
const PUTS = new Map([
  [0x71, 1], // BINPUT
  [0x72, 4], // LONG_BINPUT
]);
const GETS = new Map([
  [0x68, 1], // BINGET
  [0x6a, 4], // LONG_BINGET
]);

/** Instructions that push one value: NONE, NEWTRUE, NEWFALSE, EMPTY_DICT, EMPTY_LIST, EMPTY_TUPLE. */
const CONSTANTS = new Map<number, () => PickledValue>([
  [0x4e, () => null],
  [0x88, () => true],
  [0x89, () => false],
  [0x7d, () => new PickledMap()],
  [0x5d, () => []],
  [0x29, () => []],
]);
