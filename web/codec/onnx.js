/**
 * The shipped graphs have no weights: their initializers are declared as external data under the names of tensors of
 * the weights file. onnxruntime-web takes a graph with its weights inside, which is made here.
 *
 * A graph is a protobuf message, of which only what leads to the initializers is looked at:
 * ModelProto.graph (7), GraphProto.initializer (5), TensorProto.name (8), raw_data (9), external_data (13) and
 * data_location (14).
 */

import { concatenated } from "./container.js";

const [VARINT, FIXED64, BYTES, FIXED32] = [0, 1, 2, 5]; // wire types
const [GRAPH, INITIALIZER, NAME, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION] = [7, 5, 8, 9, 13, 14];

/**
 * The bytes of the graph with the weights inside; `tensor(name)` gives the {values} of a tensor, of its type.
 * @param {Uint8Array} graph
 */
export function withWeights(graph, tensor) {
  return edited(graph, GRAPH, (inner) => edited(inner, INITIALIZER, (initializer) => filled(initializer, tensor)));
}

/** A message whose fields of this number, all messages, are changed by `edit`. */
function edited(message, number, edit) {
  const parts = [];
  for (const field of fieldsOf(message)) {
    if (field.number === number) parts.push(...packed(number, edit(field.content)));
    else parts.push(message.subarray(field.start, field.end));
  }
  return concatenated(parts);
}

/** A TensorProto with its values, if they are external. */
function filled(message, tensor) {
  const fields = [...fieldsOf(message)];
  if (!fields.some((field) => field.number === DATA_LOCATION)) return message;
  const name = new TextDecoder().decode(fields.find((field) => field.number === NAME).content);
  const { values } = tensor(name);
  const kept = fields.filter((field) => field.number !== DATA_LOCATION && field.number !== EXTERNAL_DATA);
  const parts = kept.map((field) => message.subarray(field.start, field.end));
  return concatenated([...parts, ...packed(RAW_DATA, new Uint8Array(values.buffer))]);
}

/** The parts of a field of bytes. */
function packed(number, content) {
  return [packVarint(number * 8 + BYTES), packVarint(content.length), content];
}

function packVarint(number) {
  const bytes = [];
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) + 128);
  return Uint8Array.from([...bytes, number]);
}

/** The fields of a message: `number`, where they start and end, and the `content` of those of bytes. */
function* fieldsOf(message) {
  for (let at = 0; at < message.length; ) {
    const start = at;
    const [key, after] = readVarint(message, at);
    const [wire, number] = [key % 8, Math.floor(key / 8)];
    const [length, from] = wire === BYTES ? readVarint(message, after) : [0, after];
    if (wire === VARINT) at = readVarint(message, from)[1];
    else at = from + { [FIXED64]: 8, [BYTES]: length, [FIXED32]: 4 }[wire];
    yield { number, start, end: at, content: message.subarray(from, at) };
  }
}

/** [number, position after it]; of negative numbers, which are long, only the position is right. */
function readVarint(message, at) {
  let [number, factor] = [0, 1];
  for (; message[at] > 127; factor *= 128) number += (message[at++] % 128) * factor;
  return [number + message[at] * factor, at + 1];
}
