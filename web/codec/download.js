/** Files from the web, in parts: one that breaks off goes on where it was. */

import { concatenated } from "./container.js";
import { ImageError } from "./errors.js";

/** The bytes behind a URL; `onProgress(done, total)` counts them, the total is 0 if unknown. Throws ImageError. */
export async function download(url, onProgress = () => {}) {
  const arrived = { parts: [], bytes: 0, total: 0 };
  for (let before = -1; ; ) {
    try {
      await readOn(url, arrived, onProgress);
      return concatenated(arrived.parts);
    } catch (error) {
      if (error instanceof ImageError || arrived.bytes <= before || arrived.bytes === 0) throw told(url, error);
      before = arrived.bytes;
    }
  }
}

function told(url, error) {
  return error instanceof ImageError ? error : new ImageError(`cannot fetch ${url}: ${error.message}`);
}

/** Add what is missing of a file, all of it where the server gives no part. */
async function readOn(url, arrived, onProgress) {
  const response = await fetch(url, arrived.bytes ? { headers: { Range: `bytes=${arrived.bytes}-` } } : {});
  if (!response.ok) throw new ImageError(`cannot fetch ${url}: ${response.status} ${response.statusText}`);
  if (response.status !== 206) Object.assign(arrived, { parts: [], bytes: 0 });
  if (!response.headers.has("Content-Encoding")) arrived.total ||= Number(response.headers.get("Content-Length")) || 0;
  for (const reader = response.body.getReader(); ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    arrived.parts.push(value);
    onProgress((arrived.bytes += value.length), arrived.total);
  }
}
