/** What decoders take of a model: its weights file as tables and the prior, and its graphs as sessions. */

import { DamagedError } from "./errors.js";
import { withIntegers } from "./integers.js";
import { LOOKS } from "./layout.js";
import { withWeights } from "./onnx.js";
import { IntegerPrior } from "./prior.js";
import { Safetensors } from "./safetensors.js";

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

/** The weights with their networks, on a Runtime; `graph(part)` promises a graph's bytes. */
export class Model extends Weights {
  constructor(bytes, graph, runtime) {
    super(bytes);
    this.graph = graph;
    this.runtime = runtime;
    this.networks = new Map();
  }

  /** {run, names}, see synthesis.js, of a look; `fine` is for high qualities, which have one. */
  async network(look, fine) {
    const part = fine ? `${LOOKS[0]}.fine` : look;
    if (!this.networks.has(part)) this.networks.set(part, this.runtime.network(() => this.filledGraph(part)));
    try {
      return await this.networks.get(part);
    } catch (error) {
      this.networks.delete(part); // so that the next call tries again
      throw error;
    }
  }

  async filledGraph(part) {
    return withWeights(await this.graph(part), (name) => withIntegers(name, (stored) => this.tensor(stored)));
  }
}
