import type { ResourceClass, Service } from '@berth/domain';
import { imageSchema } from '@berth/domain';
import { z } from 'zod';

/**
 * `SERVICE_<NAME>_<what>`. The name may hold underscores, so what it is about is found from the end. The addresses are those of the job orchestrator's own
 * clients: they name the service, and are of no other use here.
 */
const VARIABLE =
  /^SERVICE_([A-Za-z0-9][A-Za-z0-9_]{0,63})_(IMAGE|CLASS|RUNS_PER_USER|MAX_RUNS|UPLOAD_URL|DOWNLOAD_URL|TERMINATE_URL)$/;

const RUNS_PER_USER = 5;
const MAX_RUNS = 10;
const MOST_RUNS = 1_000_000;

const toRuns = (variable: string, text: string, problems: string[]): number => {
  const runs = /^\d{1,7}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!(runs <= MOST_RUNS)) problems.push(`${variable}: must be a whole number from 0 to ${MOST_RUNS}`);
  return runs;
};

const toImage = (variable: string, text: string, problems: string[]): string => {
  const { error } = imageSchema.safeParse(text);
  if (error) problems.push(`${variable}: ${error.issues[0]?.message}`);
  return text;
};

const toClass = (variable: string, text: string, classes: ResourceClass[], problems: string[]) => {
  const found = classes.find(({ name }) => name === text);
  if (!found) problems.push(`${variable}: must be a resource class: ${classes.map(({ name }) => name).join(', ')}`);
  return found;
};

/** The services of the job orchestrator's format by name, in lower case. What is wrong is added to `problems`. */
export const parseServices = (
  environment: Record<string, string | undefined>,
  classes: ResourceClass[],
  problems: string[],
): ReadonlyMap<string, Service> => {
  const services = new Map<string, Service>();
  for (const [variable, text] of Object.entries(environment)) {
    const [, given, what] = VARIABLE.exec(variable) ?? [];
    if (given === undefined || text === undefined || text === '') continue;
    const name = given.toLowerCase();
    const service = services.get(name) ?? { name, runs_per_user: RUNS_PER_USER, max_runs: MAX_RUNS };
    services.set(name, service);
    if (what === 'IMAGE') service.image = toImage(variable, text, problems);
    if (what === 'CLASS') service.class = toClass(variable, text, classes, problems);
    if (what === 'RUNS_PER_USER') service.runs_per_user = toRuns(variable, text, problems);
    if (what === 'MAX_RUNS') service.max_runs = toRuns(variable, text, problems);
  }
  return services;
};

/** Seconds after its end in which a job of that format is cleaned away. */
export const maxAgeSchema = z.coerce
  .number({ error: 'must be a number of seconds' })
  .int()
  .min(60)
  .max(3_650 * 24 * 3600)
  .default(864_000);
