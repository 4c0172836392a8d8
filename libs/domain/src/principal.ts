import { z } from 'zod';
import { isLoopbackAddress, isLoopbackHost } from './public-bind.js';
import { LOCAL_USER } from './quota.js';

export const ROLES = ['user', 'operator'] as const;
export type Role = (typeof ROLES)[number];

/** Who asks. A user submits, sees and cancels their own jobs; an operator everybody's, and nodes, quotas and the dashboard. */
export interface Principal {
  user: string;
  role: Role;
}

/** Who asks where no key has been made: the one user of the machine, who may do everything. */
export const LOCAL_PRINCIPAL: Principal = { user: LOCAL_USER, role: 'operator' };

/** `local` is nobody's: what was submitted before there were keys stays with the operators. */
export const userNameSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._@-]{0,63}$/,
    'must be 1 to 64 of a-z, 0-9, ".", "_", "@" and "-", and begin with a letter or digit',
  )
  .refine((name) => name !== LOCAL_USER, `is reserved: ${LOCAL_USER} is who submits where there are no keys`);

/** The same words whatever was wrong with the key, or missing. */
export const UNAUTHORIZED =
  'Send an API key that is valid, as `Authorization: Bearer KEY` or `X-API-Key: KEY`. ' +
  'Whoever runs this Berth makes one: npm run key -- create NAME --role user';

export const OPERATORS_ONLY = "Only operators may do this, and the API key is a user's.";

type ReadHeader = (name: string) => string | undefined;

/** The key that a request shows. `X-API-Key` comes first: a proxy may have a use of its own for Authorization. */
export const findShownKey = (header: ReadHeader): string | undefined =>
  header('x-api-key') || /^Bearer +(.*)$/i.exec(header('authorization') ?? '')?.[1]?.trim() || undefined;

/** Headers by which proxies say that they ask for somebody else. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip'];

/**
 * Whether a request comes from this machine itself: its connection does, the name in it is the machine's own (a page on the internet
 * could have pointed its name here), and no proxy says that it passes it on.
 */
export const isFromThisMachine = (remote_address: string | undefined, header: ReadHeader): boolean =>
  isLoopbackAddress((remote_address ?? '').replace(/^::ffff:/, '')) &&
  isLoopbackHost(header('host') ?? '') &&
  FORWARDED.every((name) => header(name) === undefined);

const OWN_SITES = ['same-origin', 'none'];

/**
 * Whether a page of another site asks, through its reader's browser: it can send forms, and count through ids, without asking. Browsers say where
 * a request comes from; programs say nothing.
 */
export const isFromOtherSite = (header: ReadHeader): boolean => {
  const site = header('sec-fetch-site');
  return site === undefined ? header('origin') !== undefined : !OWN_SITES.includes(site);
};

export const OTHER_SITE = 'A page of another site may not do this';
