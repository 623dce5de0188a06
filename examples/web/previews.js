/** Previews of one photograph beside those of ThumbHash and BlurHash, which scripts/web_previews.py has made. */

const FOLDER = "previews/";

/** Fill `row` with figures: the original, what ThumbHash and BlurHash make of it, and odpiece's files, decoded here. */
export async function showPreviews(row) {
  const [original, previews] = [loaded("original.webp"), await (await fetch(`${FOLDER}previews.json`)).json()];
  add(row, await original, "The original");
  for (const { title, bytes, picture, file } of previews) {
    if (picture) compared(row, await loaded(picture), `${title}: ${bytes} bytes`, await original);
    else decoded(row, file, { preview: "" }, `${title}: ${bytes} bytes`, await original);
  }
  const { title, bytes, file } = previews.at(-1);
  decoded(row, file, { look: "natural" }, `${title}, natural look: ${bytes} bytes`, await original);
}

async function loaded(name) {
  const image = Object.assign(new Image(), { src: FOLDER + name });
  await image.decode();
  return image;
}

/** Add a picture with what it is called; gives the element that says so. */
function add(row, picture, title) {
  const [figure, caption] = ["figure", "figcaption"].map((name) => document.createElement(name));
  caption.textContent = title;
  figure.append(picture, caption);
  row.append(figure);
  return caption;
}

function compared(row, picture, title, original) {
  add(row, picture, title).append(`, ${psnr(pixelsOf(picture), pixelsOf(original)).toFixed(1)} dB`);
}

/** Add a file of odpiece by an <odp-img>, and how near it is to the original once it is there. */
function decoded(row, src, attributes, title, original) {
  const picture = document.createElement("odp-img");
  for (const [name, value] of Object.entries({ src, alt: title, ...attributes })) picture.setAttribute(name, value);
  const caption = add(row, picture, title);
  picture.addEventListener("load", () => {
    const canvas = picture.shadowRoot.querySelector("canvas");
    caption.append(`, ${psnr(pixelsOf(canvas), pixelsOf(original)).toFixed(1)} dB`);
  });
  picture.addEventListener("error", ({ detail }) => caption.append(`, ${detail.message}`));
}

/** Uint8ClampedArray, RGBA, of an image or a canvas. */
function pixelsOf(picture) {
  const canvas = new OffscreenCanvas(picture.naturalWidth ?? picture.width, picture.naturalHeight ?? picture.height);
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

/** The peak signal-to-noise ratio, in dB. */
function psnr(pixels, original) {
  const squares = pixels.reduce((sum, value, i) => sum + (i % 4 < 3 ? (value - original[i]) ** 2 : 0), 0);
  return 10 * Math.log10((255 ** 2 * 0.75 * pixels.length) / squares);
}
