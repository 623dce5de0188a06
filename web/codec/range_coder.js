/**
 * Arithmetic decoding as of constriction's range coder: words of 32 bits, a state of 64, probabilities of 24.
 *
 * Numbers of 64 bits are pairs of 32: `hi` and `lo`. Everything else fits into the 53 bits of a number. Tables are
 * Uint32Array (rows * symbols), each row summing to 2^24 - symbols; `Reader` and `CutReader` decode symbols under them.
 */

import { DamagedError } from "./errors.js";

const PRECISION = 2 ** 24;
const WORD = 2 ** 32;
const STATE_BYTES = 8;

/** Table rows as cumulated probabilities, each made when it is first asked for. */
export class Table {
  /** @param {Uint32Array} numbers  @param {number} symbols */
  constructor(numbers, symbols) {
    this.numbers = numbers;
    this.symbols = symbols;
    this.rows = [];
  }

  /** Uint32Array (symbols + 1,): `left` of each symbol under a row, then 2^24. */
  row(index) {
    return (this.rows[index] ??= this.cumulated(index));
  }

  cumulated(index) {
    const lefts = new Uint32Array(this.symbols + 1);
    const start = index * this.symbols;
    for (let i = 0; i < this.symbols; i++) lefts[i + 1] = lefts[i] + this.numbers[start + i] + 1;
    return lefts;
  }
}

/** One stream of bytes, and of `pad` behind its end. What is compared is kept: point - lower, and the range. */
class Decoder {
  constructor(payload, pad) {
    const padded = new Uint8Array(Math.ceil(payload.length / 4) * 4 + STATE_BYTES).fill(pad);
    padded.set(payload);
    this.payload = payload;
    this.words = new DataView(padded.buffer);
    this.at = 0;
    this.rangeHi = this.rangeLo = WORD - 1;
    this.offsetHi = this.word();
    this.offsetLo = this.word();
  }

  word() {
    const word = this.at < this.words.byteLength ? this.words.getUint32(this.at) : 0;
    this.at += 4;
    return word;
  }

  /** The symbol under a row of cumulated probabilities; -1 for what no writer leaves. */
  symbol(lefts) {
    const { scale, quantile } = this.quantile();
    if (quantile >= PRECISION) return -1;
    let [low, high] = [0, lefts.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (lefts[middle] <= quantile) low = middle;
      else high = middle;
    }
    this.narrow(scale, lefts[low], lefts[low + 1] - lefts[low]);
    return low;
  }

  /** A number below `size`, all equally likely; -1 for what no writer leaves. */
  uniform(size) {
    const { scale, quantile } = this.quantile();
    if (quantile >= PRECISION) return -1;
    const share = Math.floor(PRECISION / size);
    const value = Math.min(Math.floor(quantile / share), size - 1);
    this.narrow(scale, value * share, value < size - 1 ? share : PRECISION - value * share);
    return value;
  }

  /**
   * Whether the symbols so far would be the same without the payload's last byte, followed by zeros: whether the number
   * would still lie in the interval, which is the case if the offset is not less than what that byte adds to it.
   */
  spares() {
    const { length } = this.payload;
    const behind = this.at - length; // bytes of the offset behind the last of the payload
    if (length === 0 || behind >= STATE_BYTES) return length > 0 && this.payload.at(-1) === 0;
    if (behind < 0) return true;
    const value = this.payload.at(-1) * 256 ** (behind % 4);
    const [hi, lo] = behind < 4 ? [0, value] : [value, 0];
    return this.offsetHi > hi || (this.offsetHi === hi && this.offsetLo >= lo);
  }

  /** scale = range / 2^24, below 2^40, and (point - lower) / scale, which is exact below 2^24. */
  quantile() {
    const scale = this.rangeHi * 256 + Math.floor(this.rangeLo / PRECISION);
    let quantile = Math.floor((this.offsetHi * WORD + this.offsetLo) / scale);
    if (quantile > PRECISION) return { scale, quantile };
    const [hi, lo] = product(scale, quantile); // the division may have rounded up to the next whole number ..
    if (hi > this.offsetHi || (hi === this.offsetHi && lo > this.offsetLo)) quantile--;
    else if (this.left(hi, lo) >= scale) quantile++; // .. or the sum down
    return { scale, quantile };
  }

  /** What is left of the offset without (hi, lo), which are not more. */
  left(hi, lo) {
    return (this.offsetHi - hi) * WORD + this.offsetLo - lo;
  }

  narrow(scale, left, p) {
    const [hi, lo] = product(scale, left);
    const borrow = this.offsetLo < lo ? 1 : 0;
    this.offsetHi -= hi + borrow;
    this.offsetLo += borrow * WORD - lo;
    [this.rangeHi, this.rangeLo] = product(scale, p);
    if (this.rangeHi > 0) return;
    [this.rangeHi, this.rangeLo] = [this.rangeLo, 0];
    [this.offsetHi, this.offsetLo] = [this.offsetLo, this.word()];
  }
}

/** The product of numbers below 2^40 and below 2^24 + 1, as [hi, lo]. */
function product(a, b) {
  const high = Math.floor(a / 2 ** 20) * b; // below 2^45
  const low = (a % 2 ** 20) * b;
  const sum = (high % 2 ** 12) * 2 ** 20 + (low % WORD);
  return [Math.floor(high / 2 ** 12) + Math.floor(low / WORD) + Math.floor(sum / WORD), sum % WORD];
}

/** Decodes a payload; throws DamagedError for one that cannot have been written. */
export class Reader {
  constructor(payload) {
    this.decoder = new Decoder(payload, 0);
  }

  /** Int32Array of a symbol for each of `rows`, table rows, in this order. */
  symbols(table, rows) {
    return rows.map((row) => sound(this.decoder.symbol(table.row(row))));
  }

  /** Int32Array (count,) of numbers below `size`. */
  uniform(size, count) {
    if (size === 1) return new Int32Array(count);
    return new Int32Array(count).map(() => sound(this.decoder.uniform(size)));
  }

  /** To be called after the last symbol. Throws DamagedError if the payload is longer than a writer's. */
  checkEnd() {
    if (this.decoder.spares()) throw new DamagedError("the file is damaged: bytes were appended to it");
  }
}

function sound(symbol) {
  if (symbol < 0) throw new DamagedError("the file is cut or damaged");
  return symbol;
}

/** The end of a cut payload was reached: the first `known` of `symbols` are certain, the rest zero. */
export class Cut extends Error {
  constructor(symbols, known) {
    super("the end of a cut payload");
    this.symbols = symbols;
    this.known = known;
  }
}

/**
 * Decodes what is certain of a payload whose end is missing, then throws Cut. Whatever came after the cut lies between
 * all zeros and all ones; symbols on which both agree are certain.
 */
export class CutReader {
  constructor(payload) {
    this.low = new Decoder(payload, 0);
    this.high = new Decoder(payload, 255);
  }

  symbols(table, rows) {
    return this.agreed(rows.length, (decoder, i) => decoder.symbol(table.row(rows[i])));
  }

  uniform(size, count) {
    if (size === 1) return new Int32Array(count);
    return this.agreed(count, (decoder) => decoder.uniform(size));
  }

  agreed(count, decode) {
    const symbols = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      const symbol = decode(this.low, i);
      if (symbol < 0 || symbol !== decode(this.high, i)) throw new Cut(symbols, i);
      symbols[i] = symbol;
    }
    return symbols;
  }
}
