/** Decodes alpha chunks by web/: node alpha.mjs CHUNKS.json, a list of {data: base64, height, width}. */

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import { unpackAlpha } from "../../web/codec/alpha.js";

const found = [];
for (const { data, height, width } of JSON.parse(await readFile(process.argv[2]))) {
  const plane = await unpackAlpha(new Uint8Array(Buffer.from(data, "base64")), height, width);
  found.push(createHash("sha256").update(plane).digest("hex"));
}
console.log(JSON.stringify(found));
