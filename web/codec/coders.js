/**
 * Coders: which row of a table of integer probabilities each latent is coded under, and around which centre.
 *
 *     coder.latents, coder.lengths     Tables, of 64 symbols and of as many as there are LENGTHS
 *     coder.shift(row)                 the binary logarithm of the values that a symbol stands for
 *     coder.predictor(header, tokens)  .predict(band, group, phase, places), given all latents coded before: `rows` and
 *                                      `centres`, Int32Array (latents of the group * places)
 *
 * `places` are the numbers, y * w + x, of the blocks in question of a band's grid.
 */

import { BANDS, LATENTS_PER_TOKEN, LENGTHS, Q_OCTAVES, octave } from "./layout.js";
import { Predictor, shiftOfRow } from "./prior.js";
import { Table } from "./range_coder.js";

export const LARGEST = 31; // largest magnitude with a symbol of its own
export const ESCAPE = 2 * LARGEST + 1;
const SYMBOLS = ESCAPE + 1;
const PRECISION = 2 ** 24;
const ROW_COUNTS = BANDS.map((band) => (band.block > 16 ? band.latents : band.ranks)); // of a static table
const STATIC_COUNT = ROW_COUNTS.reduce((sum, count) => sum + count);
const CLASSES = 4;
const CLASS_BOUNDS = [1, 3, 5]; // steps of LENGTHS below the full length

/** Index into LENGTHS of the shortest that holds `limit` tokens. */
export function fullLengthIndex(limit) {
  return LENGTHS.findIndex((length) => length >= limit);
}

/** Rows under which all symbols are as good as equally likely. */
function levelTable(rows, symbols) {
  const total = PRECISION - symbols;
  const numbers = new Uint32Array(rows * symbols).fill(Math.floor(total / symbols));
  for (let row = 0; row < rows; row++) numbers[row * symbols] += total % symbols;
  return new Table(numbers, symbols);
}

class RawCoder {
  latents = levelTable(1, SYMBOLS);
  lengths = levelTable(Q_OCTAVES, LENGTHS.length);

  shift() {
    return 0;
  }

  predictor() {
    return this;
  }

  predict(band, group, phase, places) {
    const count = LATENTS_PER_TOKEN * BANDS[band].groups[group] * places.length;
    return { rows: new Int32Array(count), centres: new Int32Array(count) };
  }
}

class StaticCoder {
  constructor(model) {
    this.latents = new Table(model.numbers("static.latents"), SYMBOLS);
    this.lengths = new Table(model.numbers("static.lengths"), LENGTHS.length);
  }

  shift() {
    return 0;
  }

  predictor(header, tokens) {
    return new StaticPredictor(header, tokens);
  }
}

class StaticPredictor {
  constructor({ q, limit }, tokens) {
    const full = fullLengthIndex(limit);
    this.first = octave(q) * CLASSES;
    this.columns = tokens.columns;
    this.classes = Array.from(tokens.lengths, (length) => {
      const steps = full - LENGTHS.findIndex((l) => l >= length);
      return CLASS_BOUNDS.filter((bound) => steps >= bound).length;
    });
  }

  predict(band, group, phase, places) {
    const { latents, side, starts } = BANDS[band];
    const offset = ROW_COUNTS.slice(0, band).reduce((sum, count) => sum + count, 0);
    const [from, to] = [LATENTS_PER_TOKEN * starts[group], LATENTS_PER_TOKEN * starts[group + 1]];
    const w = this.columns * side;
    const bases = places.map((place) => {
      const piece = Math.floor(place / w / side) * this.columns + Math.floor((place % w) / side);
      return (this.first + this.classes[piece]) * STATIC_COUNT + offset;
    });
    const rows = new Int32Array((to - from) * places.length);
    for (let latent = from, at = 0; latent < to; latent++) {
      const row = Math.floor((latent * ROW_COUNTS[band]) / latents);
      for (const base of bases) rows[at++] = base + row;
    }
    return { rows, centres: new Int32Array(rows.length) };
  }
}

class LearnedCoder {
  constructor(model) {
    this.prior = model.prior;
    this.latents = new Table(model.numbers("prior.tables"), SYMBOLS);
    this.lengths = new Table(model.numbers("prior.lengths"), LENGTHS.length);
  }

  shift(row) {
    return shiftOfRow(row);
  }

  predictor({ q }, tokens) {
    return new Predictor(this.prior, q, tokens);
  }
}

const KINDS = [RawCoder, StaticCoder, LearnedCoder];

/** The coder of this number, 0 to 2, with the tables of `model`. */
export function coderOf(number, model) {
  return new KINDS[number](model);
}
