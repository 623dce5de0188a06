/**
 * Reads .odp files by web/: node read.mjs WEIGHTS FILES.json
 *
 * FILES.json is a list of {data: base64, partial}; on standard output a list as long: {sha256, ..} of its tokens, or
 * {error} with the name of what was thrown.
 */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import { unpack } from "../../web/codec/container.js";
import { Weights } from "../../web/codec/model.js";
import { readTokens } from "../../web/codec/picture.js";

const [weights, files] = process.argv.slice(2);
const model = new Weights(await readFile(weights));

async function read({ data, partial }) {
  try {
    const { header, tokens } = await readTokens(Buffer.from(data, "base64"), async () => model, { partial });
    const hash = createHash("sha256");
    for (const part of tokens.buffers()) hash.update(part);
    return { sha256: hash.digest("hex"), width: header.width, height: header.height };
  } catch (error) {
    return { error: error.name, message: error.message };
  }
}

const found = [];
for (const file of JSON.parse(await readFile(files))) found.push(await read(file));
console.log(JSON.stringify(found));
