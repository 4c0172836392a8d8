import { z } from 'zod';

/** Linux refuses a single argument or environment entry of 128 KiB or more (MAX_ARG_STRLEN, `man 2 execve`). */
export const MAX_ARG_BYTES = 128 * 1024 - 1;

const NON_ASCII = /[\u0080-\uffff]/;
const SURROGATE = /[\ud800-\udfff]/;

/** The length in UTF-8. A surrogate is half of a character of four bytes. */
export const bytes = (text: string): number => {
  if (!NON_ASCII.test(text)) return text.length;
  let count = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) count += code < 0x800 || isSurrogate(code) ? 1 : 2;
  }
  return count;
};

const isSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdfff;
const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff;
const isLowSurrogate = (code: number): boolean => code >= 0xdc00 && code <= 0xdfff;

const isWellFormed = (text: string): boolean => {
  if (!SURROGATE.test(text)) return true;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (!isSurrogate(code)) continue;
    if (!isHighSurrogate(code) || !isLowSurrogate(text.charCodeAt(i + 1))) return false;
    i += 1;
  }
  return true;
};

/** Text that a program can get as an argument or in its environment. */
export const text = z
  .string()
  .refine((s) => !s.includes('\0'), 'must not contain a NUL character')
  .refine(isWellFormed, 'must be valid Unicode')
  .refine((s) => bytes(s) <= MAX_ARG_BYTES, 'must be shorter than 128 KiB');
