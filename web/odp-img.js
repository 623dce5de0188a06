/**
 * <odp-img src="photo.odp" alt="A harbour"><img src="photo.jpg" loading="lazy" alt="A harbour"></odp-img>
 *
 * Shows an .odp file, which is fetched when it comes near the window (at once with loading="eager"), in its own size
 * from the header on, and sharper as it arrives. Attributes `look`, `tokens` and `preview` are those of `decode`. Where
 * it cannot be shown the element shows what stands inside it. Events: "load", and "error", whose `detail` is the error.
 */

import { DamagedError, ImageError, MissingExtraError, decodeStream, info } from "./index.js";

const NEAR = "200px";
const INSIDE = `
  <style>
    :host { display: inline-block; max-width: 100%; }
    :host([hidden]), [hidden] { display: none; }
    canvas { display: block; max-width: 100%; height: auto; }
  </style>
  <canvas role="img"></canvas><slot hidden></slot>
`;

export class OdpImage extends HTMLElement {
  static observedAttributes = ["src", "alt", "look", "tokens", "preview"];

  constructor() {
    super();
    this.attachShadow({ mode: "open" }).innerHTML = INSIDE;
    this.canvas = this.shadowRoot.querySelector("canvas");
    this.slotted = this.shadowRoot.querySelector("slot");
    const seen = (entries) => entries.some((entry) => entry.isIntersecting) && this.load();
    this.nearby = new IntersectionObserver(seen, { rootMargin: NEAR });
  }

  connectedCallback() {
    this.begin();
  }

  disconnectedCallback() {
    this.end();
  }

  attributeChangedCallback(name) {
    this.canvas.setAttribute("aria-label", this.getAttribute("alt") ?? "");
    if (name !== "alt" && this.isConnected) this.begin();
  }

  /** Start anew, now or when the element comes near the window. */
  begin() {
    this.end();
    if (!this.getAttribute("src")) return;
    if (this.getAttribute("loading") === "eager") this.load();
    else this.nearby.observe(this);
  }

  end() {
    this.nearby.disconnect();
    this.running?.abort();
  }

  async load() {
    this.end();
    const { signal } = (this.running = new AbortController());
    try {
      await this.show(signal);
      this.dispatchEvent(new Event("load"));
    } catch (error) {
      if (signal.aborted) return;
      [this.canvas.hidden, this.slotted.hidden] = [true, false];
      this.dispatchEvent(new CustomEvent("error", { detail: error }));
    }
  }

  async show(signal) {
    if (!globalThis.WebAssembly) throw new MissingExtraError("this browser has no WebAssembly");
    const [head, stream] = (await fetched(this.getAttribute("src"), signal)).tee();
    await this.takeSize(head.getReader());
    const tokens = this.hasAttribute("tokens") ? { tokens: Number(this.getAttribute("tokens")) } : {};
    const preview = this.hasAttribute("preview");
    const options = { ...tokens, preview, look: this.getAttribute("look") ?? undefined, signal };
    for await (const picture of decodeStream(stream, options)) this.canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  /** Take the size of the header, as soon as it has come. */
  async takeSize(reader) {
    for (let bytes = []; ; ) {
      const { value, done } = await reader.read();
      if (value) bytes = [...bytes, ...value];
      const header = headerOf(Uint8Array.from(bytes), done);
      if (!header) continue;
      [this.canvas.width, this.canvas.height] = [header.width, header.height];
      [this.canvas.hidden, this.slotted.hidden] = [false, true];
      reader.cancel().catch(() => {}); // which waits for the other half of the stream
      return;
    }
  }
}

/** What the header says; null where it has not all come. */
function headerOf(bytes, ended) {
  try {
    return info(bytes);
  } catch (error) {
    if (ended || !(error instanceof DamagedError || bytes.length < 2)) throw error;
    return null;
  }
}

async function fetched(src, signal) {
  const response = await fetch(src, { signal });
  if (!response.ok) throw new ImageError(`cannot fetch ${src}: ${response.status} ${response.statusText}`);
  return response.body;
}

customElements.define("odp-img", OdpImage);
