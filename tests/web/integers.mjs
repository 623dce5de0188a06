/** The hashes of what web/ makes of a weights file for convolutions of integers: node integers.mjs WEIGHTS NAMES.json. */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import { withIntegers } from "../../web/codec/integers.js";
import { Weights } from "../../web/codec/model.js";

const [weights, names] = await Promise.all(process.argv.slice(2).map((path) => readFile(path)));
const model = new Weights(weights);
const hashes = JSON.parse(names).map((name) => {
  const { values } = withIntegers(name, (stored) => model.tensor(stored));
  return [name, createHash("sha256").update(values).digest("hex")];
});
console.log(JSON.stringify(Object.fromEntries(hashes)));
