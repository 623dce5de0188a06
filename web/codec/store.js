/**
 * Models from a folder on the web: index.json, weights files and graphs, as models/weights/ holds them.
 *
 * A weights file is fetched once, its SHA-256 checked against the index, and kept by the browser (Cache API), as are
 * the graphs that belong to it.
 */

import { download } from "./download.js";
import { DamagedError, MissingExtraError, UnknownModelError } from "./errors.js";
import { Model } from "./model.js";
import { Preview } from "./preview.js";
import { Runtime } from "./runtime.js";

const CACHE = "odpiece-models";
const GRAPH_START = 8; // the first byte of every graph

export class Store {
  /** `models`, the folder, and `runtime`, the module onnxruntime-web, are URLs; `webgpu` as in runtime.js. */
  constructor({ models, runtime, webgpu }) {
    this.folder = models;
    this.startRuntime = () => Runtime.of(runtime, webgpu);
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
    const url = this.url("index.json");
    const index = parsed(await download(url));
    if (!index?.models) throw new DamagedError(`${url} is no index of models`);
    const entry = Object.values(index.models).find(({ sha256 }) => sha256.startsWith(fingerprint));
    if (!entry) throw new UnknownModelError(`made with model ${fingerprint}, which is not in ${this.folder}`);
    return entry;
  }

  async load(fingerprint, onProgress) {
    const entry = await this.entry(fingerprint);
    const [bytes, runtime] = await Promise.all([this.weights(entry, onProgress), this.startRuntime()]);
    const name = entry.file.replace(/\.safetensors$/, "");
    return new Model(bytes, (part) => this.graph(`${name}.${part}.onnx`, entry.sha256), runtime);
  }

  graph(file, sha256) {
    return this.kept(file, sha256, undefined, (bytes) => {
      if (bytes[0] !== GRAPH_START) throw new DamagedError(`${file} is damaged: it is no graph`);
    });
  }

  weights({ file, sha256 }, onProgress) {
    return this.kept(file, sha256, onProgress, (bytes) => checkHash(bytes, sha256, file));
  }

  /**
   * The bytes of a file that belongs to the model of this SHA-256, from the cache or else from the web, where `check`
   * looks at them first.
   */
  async kept(file, sha256, onProgress, check) {
    const key = `${this.url(file)}?${sha256}`;
    const cache = await globalThis.caches?.open(CACHE).catch(() => null); // pages that may keep nothing
    const found = await cache?.match(key);
    if (found) return new Uint8Array(await found.arrayBuffer());
    const bytes = await download(this.url(file), onProgress);
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

/** What JSON says; null for what is none. */
function parsed(bytes) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
