/**
 * Models from a folder on the web: index.json, weights files and graphs, as models/weights/ holds them.
 *
 * A weights file is fetched once, its SHA-256 checked against the index, and kept by the browser (Cache API), as are
 * the graphs that belong to it.
 */

import { concatenated } from "./container.js";
import { DamagedError, ImageError, MissingExtraError, UnknownModelError } from "./errors.js";
import { Model } from "./model.js";
import { Preview } from "./preview.js";

const CACHE = "odpiece-models";

export class Store {
  /** `folder` and `runtime`, the module onnxruntime-web, are URLs. */
  constructor(folder, runtime) {
    this.folder = folder;
    this.runtime = runtime;
    this.models = new Map();
  }

  /**
   * The Model with these first 8 hexadecimal digits of its SHA-256, or the Preview of it. `onProgress(done, total)`
   * counts bytes.
   */
  async find(fingerprint, preview, onProgress) {
    const key = `${fingerprint} ${preview}`;
    const load = () => (preview ? this.loadPreview(fingerprint, onProgress) : this.load(fingerprint, onProgress));
    if (!this.models.has(key)) this.models.set(key, load());
    try {
      return await this.models.get(key);
    } catch (error) {
      this.models.delete(key); // so that the next call tries again
      throw error;
    }
  }

  async loadPreview(fingerprint, onProgress) {
    const { preview } = await this.entry(fingerprint);
    if (!preview) throw new UnknownModelError(`no preview of model ${fingerprint} is in ${this.folder}`);
    return Preview.of(await this.weights(preview, onProgress));
  }

  /** What the index tells about a model. */
  async entry(fingerprint) {
    const index = JSON.parse(new TextDecoder().decode(await fetched(this.url("index.json"))));
    const entry = Object.values(index.models).find(({ sha256 }) => sha256.startsWith(fingerprint));
    if (!entry) throw new UnknownModelError(`made with model ${fingerprint}, which is not in ${this.folder}`);
    return entry;
  }

  async load(fingerprint, onProgress) {
    const entry = await this.entry(fingerprint);
    const [bytes, ort] = await Promise.all([this.weights(entry, onProgress), importRuntime(this.runtime)]);
    const name = entry.file.replace(/\.safetensors$/, "");
    return new Model(bytes, (part) => this.kept(`${name}.${part}.onnx`, entry.sha256), ort);
  }

  weights({ file, sha256 }, onProgress) {
    return this.kept(file, sha256, onProgress, (bytes) => checkHash(bytes, sha256, file));
  }

  /** The bytes of a file that belongs to the model of this SHA-256, from the cache or else from the web. */
  async kept(file, sha256, onProgress = () => {}, check = () => {}) {
    const key = `${this.url(file)}?${sha256}`;
    const cache = await globalThis.caches?.open(CACHE);
    const found = await cache?.match(key);
    if (found) return new Uint8Array(await found.arrayBuffer());
    const bytes = await fetched(this.url(file), onProgress);
    await check(bytes);
    await cache?.delete(key, { ignoreSearch: true }); // that of an older model of this name
    await cache?.put(key, new Response(bytes)).catch(() => {}); // where there is no room it is fetched again
    return bytes;
  }

  url(file) {
    return new URL(file, this.folder).href;
  }
}

async function checkHash(bytes, sha256, file) {
  if (!globalThis.crypto?.subtle) throw new MissingExtraError("the model can only be checked on https or on localhost");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== sha256) throw new DamagedError(`${file} is damaged: its SHA-256 is ${found}, not ${sha256}`);
}

/** The bytes behind a URL. Throws ImageError. */
async function fetched(url, onProgress = () => {}) {
  const response = await fetch(url).catch((error) => {
    throw new ImageError(`cannot fetch ${url}: ${error.message}`);
  });
  if (!response.ok) throw new ImageError(`cannot fetch ${url}: ${response.status} ${response.statusText}`);
  const total = Number(response.headers.get("Content-Length")) || 0;
  const parts = [];
  let done = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { value, done: ended } = await reader.read();
    if (ended) return concatenated(parts);
    parts.push(value);
    onProgress((done += value.length), total);
  }
}

async function importRuntime(url) {
  try {
    const ort = await import(/* webpackIgnore: true */ /* @vite-ignore */ url);
    ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
    return ort;
  } catch (error) {
    throw new MissingExtraError(`no onnxruntime-web at ${url}: npm install onnxruntime-web, or configure({ runtime })`);
  }
}
