/**
 * The learned prior: an integer network, the same to the last bit as models/prior.py and on every machine.
 *
 * All numbers are integers in float64, and no sum leaves +-2^53. Activations have 8 binary places, weights 12. Where
 * Python takes whole grids, this takes the blocks that are asked for, and leaves out products with zero: most are.
 */

import { BANDS, LATENTS_PER_TOKEN, isFine } from "./layout.js";

const WEIGHT = 2 ** 12;
const ONE = 2 ** 20; // of sums
const LIMIT = 2 ** 18; // activations are clipped to +-LIMIT
const ACTIVATION = 2 ** 8;
const OCTAVE = 64; // parts of an octave
const MEAN_STEPS = 16;
const LARGEST_MEAN = 32767;
const SCALE_STEPS = 8;
const LOWEST_SCALE = -4;
const SCALES = 80;
const ROWS = MEAN_STEPS * SCALES; // of the tables for usual qualities; as many follow for high ones
const [FIRST_WIDE, WIDER] = [43, 5.5];
const TAPS = 9; // of a 3x3 kernel

/** The binary logarithm of the values that a symbol stands for, in a table row. */
export function shiftOfRow(row) {
  const beyond = (row % SCALES) - FIRST_WIDE;
  return beyond < 0 ? 0 : 1 + Math.floor(beyond / WIDER);
}

/** floor(64 log2 q), by integers alone. */
function octavePosition(q) {
  return (BigInt(q) ** BigInt(OCTAVE)).toString(2).length - 1;
}

/** A row of a table (13, n) at quality `q`, linear in log2 q. */
function interpolate({ values, shape: [rows, n] }, q) {
  const position = octavePosition(q);
  const row = Math.floor(position / OCTAVE);
  const [low, high] = [row, Math.min(row + 1, rows - 1)].map((r) => values.subarray(r * n, (r + 1) * n));
  return Float64Array.from(low, (value, i) => value + Math.floor(((high[i] - value) * (position % OCTAVE)) / OCTAVE));
}

function clipped(value) {
  return Math.max(-LIMIT, Math.min(LIMIT, value));
}

/** From sums to activations. */
function shift(sum) {
  return clipped(Math.floor(sum / WEIGHT));
}

/** Products to be summed: a value, not zero, times the row of weights that starts at an offset. */
class Terms {
  constructor() {
    this.offsets = [];
    this.values = [];
  }

  add(offset, value) {
    if (value === 0) return;
    this.offsets.push(offset);
    this.values.push(value);
  }

  /** Add all to `sums`, four at a time, and begin anew. */
  addTo(sums, weights) {
    const { offsets, values } = this;
    while (values.length % 4) this.offsets.push(0), this.values.push(0);
    for (let i = 0; i < values.length; i += 4) {
      const [a, b, c, d] = [values[i], values[i + 1], values[i + 2], values[i + 3]];
      const [p, q, r, s] = [offsets[i], offsets[i + 1], offsets[i + 2], offsets[i + 3]];
      for (let j = 0; j < sums.length; j++) {
        sums[j] += a * weights[p + j] + b * weights[q + j] + c * weights[r + j] + d * weights[s + j];
      }
    }
    offsets.length = values.length = 0;
  }
}

/** Weights (O, I, ..) as (I, .., O): for each input those of all outputs side by side. */
function byInput({ values, shape: [outputs, ...rest] }) {
  const inputs = rest.reduce((count, n) => count * n, 1);
  const turned = new Float32Array(values.length);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) turned[i * outputs + o] = values[o * inputs + i];
  }
  return turned;
}

/** The network's tensors; each is brought into the order that it is used in when it is first needed. */
export class IntegerPrior {
  /** `tensor(name)` gives {values, shape} of the weights file's tensors. */
  constructor(tensor) {
    this.tensor = (name) => tensor(`prior.${name}`);
    this.cache = new Map();
    this.table = this.numbers("squash");
  }

  numbers(name) {
    return this.cached(name, () => new Float64Array(this.tensor(name).values));
  }

  byInput(name) {
    return this.cached(`turned ${name}`, () => byInput(this.tensor(name)));
  }

  atQuality(name, q) {
    return interpolate(this.tensor(name), q);
  }

  cached(key, make) {
    if (!this.cache.has(key)) this.cache.set(key, make());
    return this.cache.get(key);
  }

  /** sign(k) log(1 + |k|) of a latent, by table. */
  squash(latent) {
    const value = this.table[Math.min(Math.abs(latent), this.table.length - 1)];
    return latent < 0 ? -value : value;
  }
}

/** Calls `visit(tap, neighbour)` for the places of a grid (h, w) around a place, itself among them. */
function around(place, h, w, visit) {
  const [y, x] = [Math.floor(place / w), place % w];
  for (let tap = 0; tap < TAPS; tap++) {
    const [row, column] = [y + Math.floor(tap / 3) - 1, x + (tap % 3) - 1];
    if (row >= 0 && row < h && column >= 0 && column < w) visit(tap, row * w + column);
  }
}

/** Predicts group after group of one segment; must be asked in coding order. */
export class Predictor {
  /** `tokens` are those of the segment: what is coded so far, zero elsewhere. */
  constructor(prior, q, tokens) {
    this.prior = prior;
    this.q = q;
    this.tokens = tokens;
    [this.chain, this.firstRow] = isFine(q) ? ["fine", ROWS] : ["usual", 0];
    this.band = -1;
    this.context = null; // {values (blocks, channels), channels}
    this.terms = new Terms();
    this.squash = (latent) => prior.squash(latent);
    this.magnitude = (latent) => Math.abs(prior.squash(latent));
  }

  /** Table rows and centres, Int32Array (latents of the group * places), for these places of the band's grid. */
  predict(band, group, phase, places) {
    while (this.band < band) this.enter();
    const latents = LATENTS_PER_TOKEN * BANDS[band].groups[group];
    const found = { rows: new Int32Array(latents * places.length), centres: new Int32Array(latents * places.length) };
    places.forEach((place, at) => {
      this.hidden(group, phase, place);
      this.heads(group, phase, place, at, places.length, found);
    });
    return found;
  }

  /** Go on to the next band, and take what the one before tells about it. */
  enter() {
    if (this.band >= 0) this.context = this.refine();
    this.band++;
    const { prior, band } = this;
    const name = (part) => `${this.chain}.bands.${band}.${part}`;
    this.h = this.tokens.rows * BANDS[band].side;
    this.w = this.tokens.columns * BANDS[band].side;
    this.units = prior.numbers(name("own.bias")).length;
    this.latents = prior.numbers(name("mean.bias")).length; // which are coded at such q
    this.width = this.units / BANDS[band].starts.indexOf(this.latents / LATENTS_PER_TOKEN);
    [this.first, this.second] = [0, 1].map(() => new Float64Array(this.units * this.h * this.w));
    const condition = prior.atQuality(name("condition"), this.q);
    this.bias = prior.numbers(name("own.bias")).map((bias, u) => bias + condition[u]);
    this.baseScale = prior.atQuality(name("base_log_scale"), this.q);
  }

  weights(part) {
    return this.prior.byInput(`${this.chain}.bands.${this.band}.${part}`);
  }

  numbers(part) {
    return this.prior.numbers(`${this.chain}.bands.${this.band}.${part}`);
  }

  /** Compute both hidden layers of a group at a place. */
  hidden(group, phase, place) {
    const { units, width } = this;
    const [start, from] = [group * width, place * units];
    const sums = this.inputs(group, phase, place);
    for (let u = 0; u < width; u++) this.first[from + start + u] = shift(Math.max(sums[u], 0));
    const mixed = this.numbers("mix.bias").slice(start, start + width);
    for (let v = 0; v < start + width; v++) this.terms.add(v * units + start, this.first[from + v]);
    this.terms.addTo(mixed, this.weights("mix.weight"));
    for (let u = 0; u < width; u++) {
      this.second[from + start + u] = clipped(this.first[from + start + u] + shift(Math.max(mixed[u], 0)));
    }
  }

  /** The sums that the first hidden layer of a group is made of: earlier groups, coarser bands, earlier phases. */
  inputs(group, phase, place) {
    const { units, width, context } = this;
    const start = group * width;
    const [known, end] = [0, 1].map((more) => LATENTS_PER_TOKEN * BANDS[this.band].starts[group + more]);
    const sums = this.bias.slice(start, start + width);
    this.addAround(sums, "own.weight", units, start, [0, known], place, this.squash);
    if (this.chain === "fine") this.addAround(sums, "magnitude.weight", units, start, [0, known], place, this.magnitude);
    if (context) {
      const { values, channels } = context;
      for (let c = 0; c < channels; c++) this.terms.add(c * units + start, values[place * channels + c]);
      this.terms.addTo(sums, this.weights("context.weight"));
    }
    if (phase) {
      this.numbers("same.bias").subarray(start, start + width).forEach((bias, u) => (sums[u] += bias));
      this.addAround(sums, "same.weight", units, start, [known, end], place, this.squash);
    }
    return sums;
  }

  /** Add the sums of a 3x3 kernel, (inputs * 9, stride), of the latents from..to - 1 around a place. */
  addAround(sums, part, stride, first, range, place, value) {
    this.collect(range, stride, first, place, value);
    this.terms.addTo(sums, this.weights(part));
  }

  collect([from, to], stride, first, place, value) {
    const [area, grid] = [this.h * this.w, this.tokens.bands[this.band]];
    around(place, this.h, this.w, (tap, neighbour) => {
      for (let i = from, at = from * area + neighbour; i < to; i++, at += area) {
        if (grid[at] !== 0) this.terms.add((i * TAPS + tap) * stride + first, value(grid[at]));
      }
    });
  }

  /** From the hidden layers at a place to the table row and the centre of each latent of a group. */
  heads(group, phase, place, at, count, { rows, centres }) {
    const { latents } = this;
    const { starts } = BANDS[this.band];
    const [from, to] = [starts[group], starts[group + 1]].map((ranks) => LATENTS_PER_TOKEN * ranks);
    const hidden = this.second.subarray(place * this.units, place * this.units + (group + 1) * this.width);
    const means = this.head("mean", hidden, from, to);
    const scales = this.head("log_scale", hidden, from, to);
    if (phase) {
      this.addAround(means, "linear.weight", latents, from, [from, to], place, (latent) => latent * ACTIVATION);
    }
    for (let m = 0; m < to - from; m++) {
      const { row, centre } = tableRow(means[m], scales[m] + this.baseScale[from + m]);
      rows[m * count + at] = row + this.firstRow;
      centres[m * count + at] = centre;
    }
  }

  head(name, hidden, from, to) {
    const sums = this.numbers(`${name}.bias`).slice(from, to);
    hidden.forEach((unit, v) => this.terms.add(v * this.latents + from, unit));
    this.terms.addTo(sums, this.weights(`${name}.weight`));
    return sums;
  }

  /** The context that the band just coded hands to the next one. */
  refine() {
    const n = BANDS[this.band].block / BANDS[this.band + 1].block;
    const bias = this.prior.numbers(`${this.chain}.refine.${this.band}.2.bias`);
    const weights = this.prior.byInput(`${this.chain}.refine.${this.band}.2.weight`);
    const channels = bias.length / n ** 2;
    const values = new Float64Array(bias.length * this.h * this.w);
    for (let place = 0; place < this.h * this.w; place++) {
      const fine = bias.slice();
      this.refined(place).forEach((unit, i) => this.terms.add(i * fine.length, unit));
      this.terms.addTo(fine, weights);
      const [y, x] = [n * Math.floor(place / this.w), n * (place % this.w)];
      fine.forEach((sum, i) => {
        const [row, column] = [y + Math.floor((i % n ** 2) / n), x + (i % n)];
        values[(row * n * this.w + column) * channels + Math.floor(i / n ** 2)] = shift(sum);
      });
    }
    return { values, channels };
  }

  /** The hidden layer at a place, of the latents around it and the context around it. */
  refined(place) {
    const { context } = this;
    const { latents } = BANDS[this.band];
    const sums = this.prior.numbers(`${this.chain}.refine.${this.band}.0.bias`).slice();
    const weights = this.prior.byInput(`${this.chain}.refine.${this.band}.0.weight`);
    this.collect([0, latents], sums.length, 0, place, this.squash);
    if (context) this.collectContext(latents, sums.length, place);
    this.terms.addTo(sums, weights);
    return sums.map((sum) => shift(Math.max(sum, 0)));
  }

  /** The context around a place, whose channels lie side by side and stand behind so many latents. */
  collectContext(latents, stride, place) {
    const { values, channels } = this.context;
    around(place, this.h, this.w, (tap, neighbour) => {
      for (let c = 0; c < channels; c++) {
        this.terms.add(((latents + c) * TAPS + tap) * stride, values[neighbour * channels + c]);
      }
    });
  }
}

/** The table row and the centre of a latent from its two sums. */
function tableRow(mean, logScale) {
  const most = LARGEST_MEAN * MEAN_STEPS;
  const m = Math.max(-most, Math.min(most, Math.floor((mean * MEAN_STEPS) / ONE + 0.5)));
  const centre = Math.floor(m / MEAN_STEPS + 0.5);
  const scale = Math.max(0, Math.min(SCALES - 1, Math.floor((logScale / ONE - LOWEST_SCALE) * SCALE_STEPS + 0.5)));
  return { row: (m - MEAN_STEPS * centre + MEAN_STEPS / 2) * SCALES + scale, centre };
}
