import type { Service } from '@berth/domain';
import type { Quotas } from '@berth/store';
import type { Logger } from 'pino';
import { repeat } from './repeat.js';

const PERIOD_MS = 60_000;

interface ServiceQuotasOptions {
  quotas: Pick<Quotas, 'setService'>;
  services: ReadonlyMap<string, Service>;
  log: Logger;
}

/** Keeps the limits of the job orchestrator's services where claims look for them, as the environment says; at once, and should they get lost. */
export const startServiceQuotas = ({ quotas, services, log }: ServiceQuotasOptions) => {
  const failure = 'could not set what services may run at a time';
  const pass = async (): Promise<void> => {
    for (const service of services.values()) await quotas.setService(service.name, service);
  };
  const first = pass().catch((err) => log.warn({ err }, failure));
  const repeated = repeat(pass, { period_ms: PERIOD_MS, failure, log });
  return {
    async close(): Promise<void> {
      await repeated.close();
      await first;
    },
  };
};
