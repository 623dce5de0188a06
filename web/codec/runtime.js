/**
 * onnxruntime-web, which runs the networks: on the graphics processor where there is one (WebGPU); else, and where that
 * fails, by WebAssembly.
 */

import { MissingExtraError } from "./errors.js";

const GPU_BUILD = "ort.webgpu.bundle.min.mjs"; // in the folder of the build for WebAssembly alone

export class Runtime {
  /**
   * Of the URL of the build for WebAssembly. `webgpu` is false to leave the graphics processor alone, and true to take
   * one that is made of software, too, which is slow. Throws MissingExtraError.
   */
  static async of(url, webgpu) {
    if (await hasGpu(webgpu)) {
      const ort = await imported(new URL(GPU_BUILD, url).href).catch(() => null);
      if (ort) return new Runtime(ort, "webgpu");
    }
    return new Runtime(await imported(url), "wasm");
  }

  /** `provider` is "webgpu" or "wasm". */
  constructor(ort, provider) {
    this.ort = ort;
    this.provider = provider;
  }

  /** {run, names}, see synthesis.js, of a graph with its weights, which `graph()` promises. */
  async network(graph) {
    let session = await this.started(graph);
    const run = async (inputs) => {
      try {
        return await this.run(session, inputs);
      } catch (error) {
        if (session.provider === "wasm") throw error;
        this.provider = "wasm";
        session = await this.started(graph);
        return this.run(session, inputs);
      }
    };
    return { names: session.inputNames, run };
  }

  async started(graph) {
    const { provider } = this;
    // Less would compute convolutions of integers in floats, more takes longer to start and no less to run
    const options = { executionProviders: [provider], graphOptimizationLevel: "extended", logSeverityLevel: 3 };
    try {
      return Object.assign(await this.ort.InferenceSession.create(await graph(), options), { provider });
    } catch (error) {
      if (provider === "wasm") throw error;
      this.provider = "wasm";
      return this.started(graph);
    }
  }

  async run(session, inputs) {
    const feed = Object.entries(inputs).map(([name, { values, shape }]) => {
      return [name, new this.ort.Tensor(values instanceof Uint8Array ? "uint8" : "float32", values, shape)];
    });
    const { pixels } = await session.run(Object.fromEntries(feed));
    return { data: pixels.data, width: pixels.dims[1] };
  }
}

async function hasGpu(webgpu) {
  if (webgpu === false) return false;
  const adapter = await globalThis.navigator?.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter && (webgpu || !adapter.info?.isFallbackAdapter));
}

async function imported(url) {
  try {
    const ort = await import(/* webpackIgnore: true */ /* @vite-ignore */ url);
    ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
    return ort;
  } catch {
    throw new MissingExtraError(`no onnxruntime-web at ${url}: npm install onnxruntime-web, or configure({ runtime })`);
  }
}
