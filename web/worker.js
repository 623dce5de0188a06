/** Decodes pictures off the page's thread: see index.js, which posts to it. */

import { packError } from "./codec/errors.js";
import { decodePicture } from "./codec/picture.js";
import { Store } from "./codec/store.js";

const stores = new Map(); // one for each place that models come from
const running = new Map(); // AbortControllers of calls, by number

function storeOf(places) {
  const key = JSON.stringify(places);
  if (!stores.has(key)) stores.set(key, new Store(places));
  return stores.get(key);
}

async function decode({ id, bytes, options, places }) {
  const controller = new AbortController();
  running.set(id, controller);
  const onProgress = (progress) => postMessage({ id, progress });
  try {
    const picture = await decodePicture(bytes, storeOf(places), { ...options, onProgress, signal: controller.signal });
    postMessage({ id, picture }, [picture.data.buffer]);
  } catch (error) {
    postMessage({ id, error: packError(error) });
  } finally {
    running.delete(id);
  }
}

addEventListener("message", ({ data }) => {
  if (data.abort) running.get(data.id)?.abort();
  else decode(data);
});
