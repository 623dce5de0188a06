/**
 * Pictures in windows by web/, with a toy network: node windows.mjs SIZE.json, {rows, columns} in pieces.
 *
 * Pieces are numbered, modulo 251, by their first latent; the network paints each in its number's grey, and `seen` is
 * whether those to the right of each are what they are in the whole picture.
 */

import { readFile } from "node:fs/promises";

import { BANDS, PIECE, steps } from "../../web/codec/layout.js";
import { synthesize } from "../../web/codec/synthesis.js";
import { Tokens } from "../../web/codec/tokens.js";

const MOST = 251;
const { rows, columns } = JSON.parse(await readFile(process.argv[2]));
const header = { q: 1, grey: false, codedWidth: columns * PIECE - 7, codedHeight: rows * PIECE - 9 };
const tokens = new Tokens(rows, columns, 1);
const numberOf = (piece) => (piece * 7) % MOST;
for (let piece = 0; piece < rows * columns; piece++) tokens.bands[0][piece] = numberOf(piece);
let [windows, seen] = [0, true];

async function run(inputs) {
  const { values, shape: [, latents, h, w] } = inputs.band0;
  const numbers = Array.from(values.subarray(0, h * w), (value) => Math.round(value / Math.fround(steps(1).mean)));
  const step = (numberOf(1) - numberOf(0) + MOST) % MOST;
  const follows = (n, i) => i % w === 0 || (n - numbers[i - 1] + MOST) % MOST === step;
  seen &&= latents === BANDS[0].latents && numbers.every(follows);
  windows++;
  const data = new Uint8Array(h * w * PIECE ** 2 * 3);
  for (let y = 0; y < h * PIECE; y++) {
    for (let x = 0; x < w; x++) {
      const [number, at] = [numbers[Math.floor(y / PIECE) * w + x], y * w + x];
      data.fill(number, at * PIECE * 3, (at + 1) * PIECE * 3);
    }
  }
  return { data, width: w * PIECE };
}

const pixels = await synthesize(tokens, header, { run, names: [] });
let wrong = pixels.length === header.codedWidth * header.codedHeight * 3 ? 0 : 1;
pixels.forEach((value, i) => {
  const [y, x] = [Math.floor(i / 3 / header.codedWidth), Math.floor(i / 3) % header.codedWidth];
  wrong += value !== numberOf(Math.floor(y / PIECE) * columns + Math.floor(x / PIECE));
});
console.log(JSON.stringify({ windows, wrong, seen }));
