/** The bytes of a file to tokens, and tokens to pixels. */

import { matches, unpack } from "./container.js";
import { DamagedError, UnknownModelError } from "./errors.js";
import { decodeSegments } from "./segments.js";

/**
 * {header, chunks, tokens, complete} of a file's bytes. `findModel(fingerprint)` gives, or promises, the model with
 * these first 8 hexadecimal digits of the SHA-256. With `partial` a file that is cut or damaged gives what is certain.
 */
export async function readTokens(data, findModel, { partial = false, ...options } = {}) {
  try {
    return await readWhole(data, findModel, options);
  } catch (error) {
    if (!partial || !(error instanceof DamagedError)) throw error;
  }
  const file = unpack(data, { ...options, partial });
  const tokens = await decodeSegments(file, await modelOf(file.header, findModel), { ...options, partial });
  return { ...file, tokens, complete: false };
}

async function readWhole(data, findModel, options) {
  const file = unpack(data, options);
  const tokens = await decodeSegments(file, await modelOf(file.header, findModel), options);
  if (!matches(file.header, tokens)) throw new DamagedError("the file is cut or damaged: its checksum does not match");
  return { ...file, tokens, complete: true };
}

function modelOf(header, findModel) {
  if (header.tiles) throw new UnknownModelError("made with a One-D-Piece model, which no browser has: decode it with Python");
  return findModel(header.model);
}
