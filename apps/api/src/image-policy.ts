import { AppError, toRegistry } from '@berth/domain';

const IP_ADDRESS = /^\d+(?:\.\d+){0,3}$/;

/** A name on the public internet: not an address, not this machine, and with a dot in it. */
const isPublicName = (host: string): boolean =>
  host.includes('.') && !IP_ADDRESS.test(host) && !/(^|\.)localhost$/i.test(host);

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
