/** What a person has to say before a port is open to others while no API key has been made. */
export const PUBLIC_BIND_CONSENT = 'yes-anyone-who-can-reach-it-can-run-code';

export const isLoopbackAddress = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127\.[\d.]+$/.test(host);

/** What is wrong with the setting BERTH_ALLOW_PUBLIC_BIND, or undefined. */
export const findConsentProblem = (consent: string | undefined): string | undefined =>
  consent === undefined || consent === PUBLIC_BIND_CONSENT
    ? undefined
    : 'BERTH_ALLOW_PUBLIC_BIND opens the port to whoever reaches it until the first API key is made. ' +
      `Leave it out, or set it to ${PUBLIC_BIND_CONSENT}`;

const LOOPBACK_HOST = /^(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/**
 * Whether a request's Host header names this machine itself. On a loopback bind any other name is refused: a page on the internet
 * whose name was pointed at 127.0.0.1 could otherwise submit jobs through somebody's browser.
 */
export const isLoopbackHost = (host: string): boolean => LOOPBACK_HOST.test(host);
