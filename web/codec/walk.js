/**
 * The walk over lengths and groups, the decoder's half of codec/bands/walk.py.
 *
 * Order of a payload: the length of every piece, then band by band, group by group, phase by phase, the latents of all
 * pieces; within a phase by table row, then by latent, then by block in raster order. After each phase the low bits of
 * its latents under wide laws, then the exact values of those that escaped.
 */

import { ESCAPE, LARGEST, fullLengthIndex } from "./coders.js";
import { DamagedError } from "./errors.js";
import { BANDS, LATENTS_PER_TOKEN, LENGTHS, keptRanks, octave, phaseOf } from "./layout.js";
import { Cut } from "./range_coder.js";
import { Tokens } from "./tokens.js";

const ESCAPE_CLASSES = 17;
const MAX_LATENT = 32767;
const MOST_SHIFT = 16;

/**
 * {tokens, begun} of a segment of rows x columns pieces, by a Reader or a CutReader: of that only what is certain, the
 * rest zero. `begun` is false where not even the lengths are. Throws DamagedError for what no writer writes.
 */
export function walk(channel, coder, header, rows, columns) {
  const tokens = new Tokens(rows, columns, header.limit);
  let begun = false;
  try {
    tokens.lengths.set(readLengths(channel, coder, header, tokens.lengths.length));
    begun = true;
    const predictor = coder.predictor(header, tokens);
    const longest = tokens.lengths.reduce((most, length) => Math.max(most, length));
    BANDS.forEach((band, b) => {
      if (longest <= band.first) return;
      for (let group = 0; group < band.groups.length; group++) readGroup(channel, coder, predictor, b, group, tokens);
    });
  } catch (error) {
    if (!(error instanceof Cut)) throw error; // what was certain is in place
  }
  return { tokens, begun };
}

function readLengths(channel, coder, { q, limit }, count) {
  const full = fullLengthIndex(limit);
  const symbols = channel.symbols(coder.lengths, new Int32Array(count).fill(octave(q)));
  return symbols.map((symbol) => {
    if (symbol > full) throw new DamagedError("the file is cut or damaged");
    return Math.min(LENGTHS[full - symbol], limit);
  });
}

function readGroup(channel, coder, predictor, b, group, tokens) {
  const band = BANDS[b];
  const places = keptPlaces(band, group, tokens);
  for (let phase = 0; phase < band.phases; phase++) {
    const here = places[phase];
    if (here.numbers.length === 0) continue;
    const predicted = predictor.predict(b, group, phase, here.numbers);
    const kept = keptLatents(band, group, here, predicted);
    const grid = tokens.bands[b];
    const area = grid.length / band.latents;
    const put = (values) => values.forEach((value, i) => (grid[kept.latents[i] * area + kept.places[i]] = value));
    try {
      put(readLatents(channel, coder, kept.rows, kept.centres));
    } catch (error) {
      if (error instanceof Cut) put(error.symbols);
      throw error;
    }
  }
}

/** For each phase {numbers, ranks}: the blocks of which the group has tokens that are kept, and of how many ranks. */
function keptPlaces(band, group, tokens) {
  const found = Array.from({ length: band.phases }, () => ({ numbers: [], ranks: [] }));
  const w = tokens.columns * band.side;
  for (let place = 0; place < tokens.rows * band.side * w; place++) {
    const [y, x] = [Math.floor(place / w), place % w];
    const length = tokens.lengths[Math.floor(y / band.side) * tokens.columns + Math.floor(x / band.side)];
    const ranks = Math.min(keptRanks(band, y, x, length), band.starts[group + 1]) - band.starts[group];
    if (ranks <= 0) continue;
    const phase = found[phaseOf(band, y, x)];
    phase.numbers.push(place);
    phase.ranks.push(ranks);
  }
  return found;
}

/** {rows, centres, latents, places} of the kept latents, in the order of latent, then block. */
function keptLatents(band, group, { numbers, ranks }, predicted) {
  const first = LATENTS_PER_TOKEN * band.starts[group];
  const found = { rows: [], centres: [], latents: [], places: [] };
  for (let m = 0; m < LATENTS_PER_TOKEN * band.groups[group]; m++) {
    for (let i = 0; i < numbers.length; i++) {
      if (m >= LATENTS_PER_TOKEN * ranks[i]) continue;
      found.rows.push(predicted.rows[m * numbers.length + i]);
      found.centres.push(predicted.centres[m * numbers.length + i]);
      found.latents.push(first + m);
      found.places.push(numbers[i]);
    }
  }
  return found;
}

/** Int32Array of latents under these table rows and centres; a Cut has those that are certain, and else zeros. */
function readLatents(channel, coder, rows, centres) {
  const shifts = rows.map((row) => coder.shift(row));
  const symbols = readSymbols(channel, coder, rows, shifts, centres);
  const numbers = symbols.map((symbol) => symbol - LARGEST);
  const escaped = symbols.map((symbol) => symbol === ESCAPE);
  const bucket = (i) => numbers[i] * 2 ** shifts[i] - ((1 << shifts[i]) >> 1) + centres[i];
  const joined = (low) => symbols.map((_, i) => bucket(i) + low[i]);
  let low = new Int32Array(symbols.length);
  let sure = (i) => shifts[i] === 0 && !escaped[i];
  try {
    low = readPlain(channel, shifts);
    sure = (i) => !escaped[i];
    readEscaped(channel, escaped, numbers);
  } catch (error) {
    if (!(error instanceof Cut)) throw error;
    throw new Cut(checked(joined(low).map((value, i) => (sure(i) ? value : 0))));
  }
  return checked(joined(low));
}

/** Int32Array of symbols, in the order of `rows`, which are coded in ascending order. */
function readSymbols(channel, coder, rows, shifts, centres) {
  const order = Int32Array.from(rows.keys()).sort((a, b) => rows[a] - rows[b] || a - b);
  const symbols = new Int32Array(rows.length);
  try {
    channel.symbols(coder.latents, order.map((i) => rows[i])).forEach((symbol, at) => (symbols[order[at]] = symbol));
  } catch (error) {
    if (!(error instanceof Cut)) throw error;
    const values = new Int32Array(rows.length);
    for (const [at, i] of order.subarray(0, error.known).entries()) {
      const symbol = error.symbols[at];
      if (symbol !== ESCAPE && shifts[i] === 0) values[i] = symbol - LARGEST + centres[i];
    }
    throw new Cut(checked(values));
  }
  return symbols;
}

function checked(latents) {
  if (latents.some((latent) => Math.abs(latent) > MAX_LATENT)) throw new DamagedError("the file is cut or damaged");
  return latents;
}

/** Int32Array of numbers of so many bits each, coded plainly, size after size from 1 on. */
function readPlain(channel, sizes) {
  const found = new Int32Array(sizes.length);
  for (let size = 1; size <= MOST_SHIFT; size++) {
    const at = [];
    sizes.forEach((n, i) => n === size && at.push(i));
    if (at.length) channel.uniform(2 ** size, at.length).forEach((value, j) => (found[at[j]] = value));
  }
  return found;
}

/** Read the numbers beyond +-31 of those that escaped into `numbers`: signs, classes, low bits. */
function readEscaped(channel, escaped, numbers) {
  const at = [];
  escaped.forEach((is, i) => is && at.push(i));
  if (at.length === 0) return;
  const signs = channel.uniform(2, at.length);
  const sizes = channel.uniform(ESCAPE_CLASSES, at.length);
  const low = readPlain(channel, sizes);
  at.forEach((i, j) => (numbers[i] = (signs[j] ? -1 : 1) * (LARGEST + 2 ** sizes[j] + low[j])));
}
