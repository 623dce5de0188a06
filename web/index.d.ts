/** Opens .odp pictures in the browser. docs/web.md shows how. */

/** Where things are that the package does not hold: URLs, relative to the page. */
export interface Places {
  /** The folder of the models: index.json, weights files and graphs. By default models/ of this package. */
  models?: string;
  /** The module onnxruntime-web, ort.wasm.bundle.min.mjs. By default as the page's import map says, or in node_modules. */
  runtime?: string;
  /**
   * Whether networks run on the graphics processor. By default where there is one and ort.webgpu.bundle.min.mjs lies
   * beside `runtime`; true takes one that is made of software, too, false none.
   */
  webgpu?: boolean;
}

/** How far a call is: bytes of the model, segments of tokens, windows of pixels. `total` is 0 where it is not known. */
export interface Progress {
  stage: "model" | "tokens" | "pixels";
  done: number;
  total: number;
}

export interface Options {
  /** Only the first so many tokens, 1 to 4096, of each 64x64 pixels: a coarser picture. */
  tokens?: number;
  /** "faithful", the default, is nearest to the original, "natural" has the texture of photographs. */
  look?: "faithful" | "natural";
  /** By the preview of the model, 0.9 MB in place of 40: blurred, and of files of at most 64 tokens a piece alone. */
  preview?: boolean;
  /** Of a cut or damaged file what is certain, in place of an error. */
  partial?: boolean;
  /** Pictures of more pixels are refused, by default those above 178,956,970. */
  maxPixels?: number;
  /** Ends the call, which then fails with the signal's reason. */
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

/** What a header says. */
export interface Info {
  width: number;
  height: number;
  /** The most tokens of a piece as it is coded, and of 64x64 pixels of the true picture. */
  q: number;
  quality: number;
  /** The most tokens that a piece keeps: q, or less in a file that was truncated. */
  limit: number;
  /** The picture is coded at 1 / scale of its size along each side: 1, 2 or 4. */
  scale: number;
  grey: boolean;
  /** The first 8 hexadecimal digits of the SHA-256 of the model. */
  model: string;
  coder: "raw" | "static" | "learned";
  segments: number;
  /** Tiles of a One-D-Piece model, which only Python decodes; else 0. */
  tiles: number;
  /** "alpha", "exif", "icc", "xmp", or the number of an unknown chunk. */
  chunks: string[];
  bytes: number;
}

/** Says where models and onnxruntime-web are. To be called before anything is decoded. */
export function configure(places: Places): void;

/** The picture of a file's bytes, decoded in a worker. Fails with an OdpieceError. */
export function decode(bytes: ArrayBuffer | ArrayBufferView, options?: Options): Promise<ImageData>;

/**
 * The pictures of a stream as it arrives, coarse first, the last one of the whole file. A stream that ends early fails
 * after its last picture, unless `partial` is set.
 */
export function decodeStream(stream: ReadableStream<Uint8Array>, options?: Options): AsyncGenerator<ImageData, void>;

/** What the header says, of which 24 bytes are enough. Throws an OdpieceError. */
export function info(bytes: ArrayBuffer | ArrayBufferView, options?: Pick<Options, "maxPixels">): Info;

/** Base of all errors that are raised on purpose; `code` is what the command line exits with. */
export class OdpieceError extends Error {
  readonly code: number;
}

/** 2: an option outside its range. */
export class OptionError extends OdpieceError {}
/** 3: a picture that cannot be fetched, or above the limit of pixels. */
export class ImageError extends OdpieceError {}
/** 4: bytes that are no .odp file. */
export class NotOdpError extends OdpieceError {}
/** 5: a file of another version, or that needs a newer odpiece. */
export class VersionError extends OdpieceError {}
/** 6: a file made with weights that are not among the page's models. */
export class UnknownModelError extends OdpieceError {}
/** 7: a file that is cut or damaged, or a damaged model. */
export class DamagedError extends OdpieceError {}
/** 10: what the browser lacks, or the page does not give. */
export class MissingExtraError extends OdpieceError {}
