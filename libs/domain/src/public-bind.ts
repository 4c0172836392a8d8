/** What a person has to say before a port without keys is opened to others. */
export const PUBLIC_BIND_CONSENT = 'yes-anyone-who-can-reach-it-can-run-code';

export const isLoopbackAddress = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127\.[\d.]+$/.test(host);

/** What is wrong with binding to an address, or undefined. `variable` names the setting that holds it. */
export const findBindProblem = (variable: string, host: string, consent: string | undefined): string | undefined => {
  if (isLoopbackAddress(host) || consent === PUBLIC_BIND_CONSENT) return undefined;
  return (
    `${variable} is not a loopback address, and Berth has no keys yet: whoever reaches it can run code on your machines. ` +
    `Bind to 127.0.0.1, or set BERTH_ALLOW_PUBLIC_BIND=${PUBLIC_BIND_CONSENT}`
  );
};

const LOOPBACK_HOST = /^(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

/**
 * Whether a request's Host header names this machine itself. On a loopback bind any other name is refused: a page on the internet
 * whose name was pointed at 127.0.0.1 could otherwise submit jobs through somebody's browser.
 */
export const isLoopbackHost = (host: string): boolean => LOOPBACK_HOST.test(host);
