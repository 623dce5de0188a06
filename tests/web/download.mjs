/**
 * Downloads from a server that breaks off: node download.mjs CASES.json, a list of {breaks, ranges, status}.
 *
 * The server closes the connection `breaks` times after STEP more bytes, and gives parts where `ranges` is true. What
 * is printed of each is {right, asked, told}: whether the bytes are those of the server, the ranges asked for, the last
 * {done, total}; or {error, asked}.
 */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

import { download } from "../../web/codec/download.js";

const DATA = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * i) % 251));
const STEP = 30_000;

async function tried({ breaks, ranges, status }) {
  const asked = [];
  const server = createServer((request, response) => {
    const { range = null } = request.headers;
    const start = ranges && range ? Number(range.match(/\d+/)[0]) : 0;
    asked.push(range);
    response.writeHead(status ?? (start ? 206 : 200), { "Content-Length": DATA.length - start });
    if (asked.length > breaks) response.end(DATA.subarray(start));
    else response.write(DATA.subarray(start, start + STEP), () => response.destroy());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  let told = null;
  try {
    const url = `http://127.0.0.1:${server.address().port}/weights`;
    const found = await download(url, (done, total) => (told = { done, total }));
    return { right: Buffer.compare(found, DATA) === 0, asked, told };
  } catch (error) {
    return { error: error.name, asked };
  } finally {
    server.close();
  }
}

const found = [];
for (const example of JSON.parse(await readFile(process.argv[2]))) found.push(await tried(example));
console.log(JSON.stringify(found));
