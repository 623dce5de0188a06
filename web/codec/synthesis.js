/** Tokens to pixels: dequantization, the networks, large pictures in overlapping windows. */

import { BANDS, LATENTS_PER_TOKEN, PIECE, bandsOf, octaveWeights, steps } from "./layout.js";
import { borders } from "./segments.js";

const [SIDE, MARGIN] = [24, 4]; // pieces: of a window, and what the networks see around it
const WHOLE = (SIDE + 2 * MARGIN) ** 2; // pieces that go in one run
const GRAIN_SIZES = [4, 2, 1]; // pixels along the side of a grain of noise

/**
 * Uint8Array (codedHeight, codedWidth, 3 or, of a grey picture, 1) of Tokens. `run(inputs)` runs the network on
 * {name: {values, shape}}, float32 or, of noise, uint8, and promises uint8 (height, width, 3); `names` are those of
 * its inputs.
 * `onWindow(done, total)` is called after each window, and awaited.
 */
export async function synthesize(tokens, header, { run, names }, onWindow = () => {}) {
  const channels = header.grey ? 1 : 3;
  const picture = { width: header.codedWidth, height: header.codedHeight, channels };
  picture.data = new Uint8Array(picture.width * picture.height * channels);
  const parts = windows(tokens.rows, tokens.columns);
  for (const [i, window] of parts.entries()) {
    put(await run(inputsOf(tokens, header.q, window, names)), window, picture);
    await onWindow(i + 1, parts.length);
  }
  return picture.data;
}

/** Rectangles of pieces in raster order: rows and columns, each {start, stop, from, to}: of the window, and as seen. */
function windows(rows, columns) {
  const whole = rows * columns <= WHOLE;
  const [down, across] = [rows, columns].map((count) => spans(count, whole ? count : SIDE));
  return down.flatMap((vertical) => across.map((horizontal) => ({ vertical, horizontal })));
}

function spans(count, side) {
  const edges = borders(count, side);
  return edges.slice(1).map((stop, i) => {
    return { start: edges[i], stop, from: Math.max(0, edges[i] - MARGIN), to: Math.min(count, stop + MARGIN) };
  });
}

function inputsOf(tokens, q, window, names) {
  const inputs = { octaves: { values: octaveWeights(q), shape: [1, octaveWeights(q).length] } };
  bandsOf(q).forEach((band, i) => (inputs[`band${i}`] = latentsOf(tokens, i, q, window)));
  for (const size of GRAIN_SIZES) {
    if (names.includes(`noise${size}`)) inputs[`noise${size}`] = grain(window, size);
  }
  return inputs;
}

/** {values, shape} of the latents of a band, (1, latents, h, w), in a window. */
function latentsOf(tokens, number, q, { vertical, horizontal }) {
  const { latents, side } = BANDS[number];
  const [top, left] = [vertical.from * side, horizontal.from * side];
  const [h, w] = [(vertical.to - vertical.from) * side, (horizontal.to - horizontal.from) * side];
  const [height, width] = [tokens.rows * side, tokens.columns * side];
  const values = new Float32Array(latents * h * w);
  const { step, mean } = steps(q);
  for (let latent = 0, at = 0; latent < latents && tokens.bands[number]; latent++) {
    const factor = Math.fround(number === 0 && latent < LATENTS_PER_TOKEN ? mean : step);
    for (let y = 0; y < h; y++) {
      const line = (latent * height + top + y) * width + left;
      for (let x = 0; x < w; x++) values[at++] = tokens.bands[number][line + x] * factor;
    }
  }
  return { values, shape: [1, latents, h, w] };
}

/** {values, shape} of noise, grains of size x size pixels: a hash of each place, the same on every machine. */
function grain({ vertical, horizontal }, size) {
  const side = PIECE / size;
  const [top, left] = [vertical.from * side, horizontal.from * side];
  const [h, w] = [(vertical.to - vertical.from) * side, (horizontal.to - horizontal.from) * side];
  const values = new Uint8Array(h * w);
  for (let y = 0, at = 0; y < h; y++) {
    for (let x = 0; x < w; x++) values[at++] = hash(size, top + y, left + x) >>> 24;
  }
  return { values, shape: [1, 1, h, w] };
}

function hash(size, row, column) {
  let x = Math.imul(size, 0x9e3779b1) ^ Math.imul(row, 0x85ebca77) ^ Math.imul(column, 0xc2b2ae3d);
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

/** Copy the window out of pixels, (.., .., 3), of what was seen; of a grey picture the mean of the channels. */
function put({ data, width }, { vertical, horizontal }, picture) {
  const [left, top] = [horizontal.start * PIECE, vertical.start * PIECE];
  const right = Math.min(horizontal.stop * PIECE, picture.width);
  const bottom = Math.min(vertical.stop * PIECE, picture.height);
  for (let y = top; y < bottom; y++) {
    let from = ((y - vertical.from * PIECE) * width + left - horizontal.from * PIECE) * 3;
    let to = (y * picture.width + left) * picture.channels;
    for (let x = left; x < right; x++, from += 3) {
      const [red, green, blue] = [data[from], data[from + 1], data[from + 2]];
      if (picture.channels === 1) picture.data[to++] = Math.floor((red + green + blue + 1) / 3);
      else [picture.data[to++], picture.data[to++], picture.data[to++]] = [red, green, blue];
    }
  }
}
