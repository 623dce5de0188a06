/** The noise that a network is given by web/: node noise.mjs SIZE.json, {rows, columns} in pieces; of the last window. */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import { PIECE } from "../../web/codec/layout.js";
import { synthesize } from "../../web/codec/synthesis.js";
import { Tokens } from "../../web/codec/tokens.js";

const { rows, columns } = JSON.parse(await readFile(process.argv[2]));
const header = { q: 1, grey: false, codedWidth: columns * PIECE, codedHeight: rows * PIECE };
const names = ["noise4", "noise2", "noise1"];
let found;

async function run(inputs) {
  const [, , h, w] = inputs.band0.shape;
  const noise = names.map((name) => [name, createHash("sha256").update(inputs[name].values).digest("hex")]);
  found = { rows: h, columns: w, noise: Object.fromEntries(noise), shapes: names.map((name) => inputs[name].shape) };
  return { data: new Uint8Array(h * w * PIECE ** 2 * 3), width: w * PIECE };
}

await synthesize(new Tokens(rows, columns, 1), header, { run, names });
console.log(JSON.stringify(found));
