/** Pictures that appear while their bytes arrive: coarse first, sharper as tokens come. */

import { concatenated } from "./codec/container.js";
import { DamagedError } from "./codec/errors.js";

const GROWTH = 1.3; // times the bytes of the last picture that the next one needs

/**
 * The pictures of a stream of bytes, in order, the last one of the whole file, as `decode(bytes, options)` makes them:
 * while one is made the bytes for the next arrive. Throws as `decode` does: of a stream that ends early after the
 * last picture, unless `partial` is set.
 */
export async function* decodeArriving(stream, options, decode) {
  const arriving = new Arriving(stream, options.signal);
  for (let shown = 0; !arriving.ended; ) {
    const bytes = await arriving.atLeast(Math.ceil(shown * GROWTH) + 1);
    if (arriving.ended) break;
    const picture = await decode(bytes, { ...options, partial: true }).catch((error) => {
      if (!(error instanceof DamagedError)) throw error;
    });
    if (picture) yield picture;
    shown = bytes.length;
  }
  yield await decode(await arriving.atLeast(Infinity), options);
}

/** What has come of a stream; it is read on while nobody asks. */
class Arriving {
  constructor(stream, signal) {
    this.parts = [];
    this.length = 0;
    this.ended = false;
    this.reading = this.read(stream.getReader(), signal);
    this.reading.catch(() => {}); // told to whoever asks next
    this.tell = () => {};
  }

  async read(reader, signal) {
    for (;;) {
      const { value, done } = await reader.read();
      if (signal?.aborted) await reader.cancel(signal.reason);
      signal?.throwIfAborted();
      if (done) break;
      this.parts.push(value);
      this.length += value.length;
      this.tell();
    }
    this.ended = true;
  }

  /** All bytes so far, once there are so many, or all there are. */
  async atLeast(count) {
    while (this.length < count && !this.ended) {
      await Promise.race([new Promise((resolve) => (this.tell = resolve)), this.reading]);
    }
    return concatenated(this.parts);
  }
}
