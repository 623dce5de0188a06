/** Opens .odp pictures in the browser; docs/web.md shows how. Types are in index.d.ts. */

import { CHUNKS, CODERS, MAX_PIXELS, unpack, unpackHeader } from "./codec/container.js";
import { DamagedError, MissingExtraError, OptionError, unpackError } from "./codec/errors.js";
import { decodeArriving } from "./stream.js";

export * from "./codec/errors.js";

const RUNTIME = "onnxruntime-web/dist/ort.wasm.bundle.min.mjs";
const places = {}; // URLs of the folder of models and of the module onnxruntime-web, and whether WebGPU may run it
const waiting = new Map(); // {resolve, reject, onProgress} of the calls that run, by number
let worker = null;
let calls = 0;

export function configure({ models, runtime, webgpu }) {
  if (models) places.models = absolute(models.endsWith("/") ? models : `${models}/`);
  if (runtime) places.runtime = absolute(runtime);
  if (webgpu !== undefined) places.webgpu = webgpu;
}

function absolute(url) {
  return new URL(url, globalThis.document?.baseURI ?? import.meta.url).href;
}

/** The places as they were configured; else the models of this package, and onnxruntime-web as the page maps it. */
function placesNow() {
  const models = new URL("./models/", import.meta.url).href;
  return { models, runtime: mappedRuntime(), ...places };
}

function mappedRuntime() {
  try {
    return import.meta.resolve("onnxruntime-web/wasm");
  } catch {
    return new URL(`../${RUNTIME}`, import.meta.url).href; // beside it in node_modules
  }
}

export async function decode(bytes, { signal, onProgress = () => {}, ...options } = {}) {
  const data = checkedBytes(bytes);
  signal?.throwIfAborted();
  const id = calls++;
  const abort = () => {
    startWorker().postMessage({ id, abort: true });
    waiting.get(id)?.reject(signal.reason);
  };
  signal?.addEventListener("abort", abort);
  try {
    const { width, height, data: pixels } = await new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject, onProgress });
      startWorker().postMessage({ id, bytes: data, options, places: placesNow() });
    });
    return new ImageData(pixels, width, height);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    waiting.delete(id);
    signal?.removeEventListener("abort", abort);
  }
}

export function decodeStream(stream, options = {}) {
  return decodeArriving(stream, options, decode);
}

/** What the header says, without anything being decoded. */
export function info(bytes, { maxPixels = MAX_PIXELS } = {}) {
  const data = checkedBytes(bytes);
  const header = unpackHeader(data, { maxPixels });
  const { width, height, q, limit, scale, grey, model, segments, tiles, coder } = header;
  const chunks = header.hasChunks ? chunksOf(data, maxPixels) : [];
  const more = { quality: q / scale ** 2, coder: CODERS[coder], chunks, bytes: data.length };
  return { width, height, q, limit, scale, grey, model, segments, tiles, ...more };
}

/** The names of the chunks, as far as they have come. */
function chunksOf(data, maxPixels) {
  try {
    return unpack(data, { maxPixels, partial: true }).chunks.map(({ type }) => CHUNKS[type] ?? String(type));
  } catch (error) {
    if (error instanceof DamagedError) return [];
    throw error;
  }
}

/** A Uint8Array of bytes of any kind. */
function checkedBytes(bytes) {
  if (bytes instanceof ArrayBuffer) return new Uint8Array(bytes);
  if (ArrayBuffer.isView(bytes)) return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  throw new OptionError("give the bytes of an .odp file as an ArrayBuffer or a Uint8Array");
}

function startWorker() {
  if (!globalThis.Worker || !globalThis.WebAssembly) throw new MissingExtraError("this browser has no WebAssembly");
  worker ??= listenedTo(new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
  return worker;
}

function listenedTo(started) {
  started.addEventListener("message", ({ data: { id, progress, picture, error } }) => {
    const call = waiting.get(id);
    if (progress) call?.onProgress(progress);
    else if (picture) call?.resolve(picture);
    else call?.reject(unpackError(error));
  });
  started.addEventListener("error", (event) => {
    worker = null;
    for (const call of waiting.values()) {
      call.reject(new MissingExtraError(`the worker of odpiece cannot start: ${event.message ?? "is it served?"}`));
    }
  });
  return started;
}
