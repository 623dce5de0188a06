/** Tensors of a safetensors file: a length (8 bytes, little-endian), a JSON header, the data. */

import { plainBytes } from "./container.js";
import { DamagedError } from "./errors.js";

const WHOLE = { I8: Int8Array, I16: Int16Array, U16: Uint16Array, I32: Int32Array, U32: Uint32Array };
const ARRAYS = { ...WHOLE, F32: Float32Array };
const HEADER_START = 8;

/** Float32Array (65536,): the value of each number of 16 bits. */
let halves = null;

export class Safetensors {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    const data = plainBytes(bytes);
    const size = Number(new DataView(data.buffer, data.byteOffset).getBigUint64(0, true));
    this.header = JSON.parse(new TextDecoder().decode(data.subarray(HEADER_START, HEADER_START + size)));
    this.data = data.subarray(HEADER_START + size);
  }

  has(name) {
    return name in this.header;
  }

  /** {values, shape} of a tensor; numbers of 16 bits with a point as Float32Array. Throws DamagedError. */
  tensor(name) {
    if (!this.has(name)) throw new DamagedError(`the model is damaged: it has no ${name}`);
    const { dtype, shape, data_offsets: [start, end] } = this.header[name];
    const { buffer } = this.data.slice(start, end);
    if (dtype === "F16") return { values: fromHalves(new Uint16Array(buffer)), shape };
    if (!(dtype in ARRAYS)) throw new DamagedError(`the model is damaged: ${name} is of type ${dtype}`);
    return { values: new ARRAYS[dtype](buffer), shape };
  }
}

function fromHalves(bits) {
  halves ??= Float32Array.from({ length: 65536 }, (_, i) => half(i));
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = halves[bits[i]];
  return values;
}

/** The value of a number of 1 bit for the sign, 5 for the exponent and 10 behind the point. */
function half(bits) {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
