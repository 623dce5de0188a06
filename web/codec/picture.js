/** The bytes of a file to tokens, and tokens to pixels. */

import { unpackAlpha } from "./alpha.js";
import { alphaOf, matches, unpack } from "./container.js";
import { DamagedError, OptionError, UnknownModelError } from "./errors.js";
import { LOOKS, TOKENS, isFine } from "./layout.js";
import { enlarged } from "./resampling.js";
import { decodeSegments } from "./segments.js";
import { synthesize } from "./synthesis.js";

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

async function modelOf(header, findModel) {
  if (header.tiles) throw new UnknownModelError("made with a One-D-Piece model: decode it with Python");
  const model = await findModel(header.model);
  model.check?.(header);
  return model;
}

/**
 * {width, height, data} of a file's bytes, data as of ImageData. `store` is a Store. Options: `tokens`, `look`,
 * `preview`, `partial`, `maxPixels`, `signal`, and `onProgress({stage, done, total})` of the stages "model" (bytes),
 * "tokens" (segments) and "pixels" (windows).
 */
export async function decodePicture(data, store, options) {
  const { tokens: count, look = LOOKS[0], preview = false, onProgress } = options;
  checkOptions(count, look);
  const step = (stage) => async (done, total) => {
    onProgress({ stage, done, total });
    await pause();
    options.signal?.throwIfAborted();
  };
  const find = (model) => store.find(model, preview, (done, total) => onProgress({ stage: "model", done, total }));
  const file = await readTokens(data, find, { ...options, onSegment: step("tokens") });
  const tokens = count === undefined ? file.tokens : file.tokens.first(count * file.header.scale ** 2);
  const network = await (await find(file.header.model)).network(look, isFine(file.header.q));
  const small = await synthesize(tokens, file.header, network, step("pixels"));
  return finished(small, file);
}

function checkOptions(count, look) {
  if (!LOOKS.includes(look)) throw new OptionError(`no look ${look}, give ${LOOKS.join(" or ")}`);
  if (count !== undefined && !(Number.isInteger(count) && count >= 1 && count <= TOKENS)) {
    throw new OptionError(`tokens is ${count}, give 1 to ${TOKENS}`);
  }
}

/** Let messages in, one of which may be that nobody waits any more. */
function pause() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (port1.close(), resolve());
    port2.postMessage(null);
  });
}

/** From pixels as they are coded to those of the picture, with alpha. */
async function finished(small, { header, chunks }) {
  const { width, height, scale, codedWidth, codedHeight, grey } = header;
  const channels = grey ? 1 : 3;
  const pixels = enlarged(small, codedHeight, codedWidth, channels, scale, height, width);
  const plane = alphaOf(chunks) && (await unpackAlpha(alphaOf(chunks), height, width));
  const data = new Uint8ClampedArray(4 * width * height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) data[4 * i + c] = pixels[i * channels + (grey ? 0 : c)];
    data[4 * i + 3] = plane ? plane[i] : 255;
  }
  return { width, height, data };
}
