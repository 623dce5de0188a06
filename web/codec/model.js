/** What decoders take of a model: its weights file as tables and the prior, and its graphs as sessions. */

import { DamagedError } from "./errors.js";
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
