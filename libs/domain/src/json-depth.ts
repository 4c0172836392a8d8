/** Deeper than anything that we take, and far from what would overflow a stack. */
export const MAX_JSON_DEPTH = 32;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

const isOpening = (byte: number | undefined): boolean => byte === 0x7b || byte === 0x5b;
const isClosing = (byte: number | undefined): boolean => byte === 0x7d || byte === 0x5d;

/** The index of the quote that ends the string beginning at `start`, or the end of the text. */
const skipString = (text: Uint8Array, start: number): number => {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === BACKSLASH) i++;
    else if (text[i] === QUOTE) return i;
  }
  return text.length;
};

/** Whether a JSON text, in UTF-8, is nested more than MAX_JSON_DEPTH levels: `JSON.stringify` of such a value overflows the stack. */
export const isTooDeep = (text: Uint8Array): boolean => {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const byte = text[i];
    if (byte === QUOTE) i = skipString(text, i);
    else if (isOpening(byte)) depth++;
    else if (isClosing(byte)) depth--;
    if (depth > MAX_JSON_DEPTH) return true;
  }
  return false;
};
