/** What decoders take of a model: its weights file as tables and the prior, and its graphs as sessions. */

import { DamagedError } from "./errors.js";
import { LOOKS } from "./layout.js";
import { withWeights } from "./onnx.js";
import { IntegerPrior } from "./prior.js";
import { Safetensors } from "./safetensors.js";

// More optimization takes longer to start and no less to run
const OPTIONS = { executionProviders: ["wasm"], graphOptimizationLevel: "basic" };

/** A weights file, whose tensors are read when they are first needed. */
export class Weights {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    try {
      this.file = new Safetensors(bytes);
    } catch (error) {
      throw new DamagedError(`the model is no weights file: ${error.message}`);
    }
  }

  tensor(name) {
    return this.file.tensor(name);
  }

  /** The values of a tensor alone. */
  numbers(name) {
    return this.tensor(name).values;
  }

  get prior() {
    return (this.integerPrior ??= new IntegerPrior((name) => this.tensor(name)));
  }
}

/** The weights with their networks, on onnxruntime-web, the module `ort`; `graph(part)` promises a graph's bytes. */
export class Model extends Weights {
  constructor(bytes, graph, ort) {
    super(bytes);
    this.graph = graph;
    this.ort = ort;
    this.networks = new Map();
  }

  /** {run, names}, see synthesis.js, of a look; `fine` is for qualities above 1024, which have one. */
  async network(look, fine) {
    const part = fine ? `${LOOKS[0]}.fine` : look;
    if (!this.networks.has(part)) this.networks.set(part, this.start(part));
    try {
      return await this.networks.get(part);
    } catch (error) {
      this.networks.delete(part); // so that the next call tries again
      throw error;
    }
  }

  async start(part) {
    const graph = withWeights(await this.graph(part), (name) => this.tensor(name));
    const session = await this.ort.InferenceSession.create(graph, OPTIONS);
    return { names: session.inputNames, run: (inputs) => this.run(session, inputs) };
  }

  async run(session, inputs) {
    const feed = Object.entries(inputs).map(([name, { values, shape }]) => {
      return [name, new this.ort.Tensor("float32", values, shape)];
    });
    const { pixels } = await session.run(Object.fromEntries(feed));
    return { data: pixels.data, width: pixels.dims[1] };
  }
}
