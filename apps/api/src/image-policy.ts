import { AppError, toRegistry } from '@berth/domain';

/** Ends in letters, as every top-level domain does and no way to write an address. */
const NAME = /\.(?:[a-z]+|xn--[a-z0-9-]+)$/i;
/** Top-level domains that never exist in public (RFC 6761, 6762, 8375, and `internal` by ICANN's word), and `lan`. */
const INSIDE = /\.(?:localhost|local|localdomain|internal|lan|home\.arpa|test|example|invalid)$/i;

const isPublicName = (host: string): boolean => NAME.test(host) && !INSIDE.test(host);

/**
 * A pull is a request that a worker makes wherever an image's name points. Names that can only point inside are refused, so that
 * a job cannot make it knock at a metadata service. Throws AppError `registry_not_allowed`.
 */
export const checkRegistry = (image: string, allowed: readonly string[]): void => {
  const registry = toRegistry(image);
  if (registry === null || allowed.includes(registry)) return;
  const host = registry.replace(/:\d+$/, '');
  if (isPublicName(host) || allowed.includes(host)) return;
  throw new AppError(
    'registry_not_allowed',
    `Images from ${registry} are not allowed. Name a registry by its full public name, or add it to BERTH_ALLOWED_REGISTRIES.`,
    { problems: [{ path: '$.image', message: 'names a registry that is not allowed' }] },
  );
};
