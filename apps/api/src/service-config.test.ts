import { DEFAULT_CLASSES } from '@berth/domain';
import { describe, expect, it } from 'vitest';
import { toApiConfig } from './config.js';
import { parseServices } from './service-config.js';

const parse = (environment: Record<string, string>) => {
  const problems: string[] = [];
  const services = parseServices(environment, DEFAULT_CLASSES, problems);
  return { services: Object.fromEntries(services), problems };
};

describe('the services in the environment', () => {
  it('have an image, a class and limits, each with its default', () => {
    const { services, problems } = parse({
      SERVICE_HADDOCK_IMAGE: 'example.com/haddock:3',
      SERVICE_HADDOCK_CLASS: 'medium',
      SERVICE_HADDOCK_RUNS_PER_USER: '2',
      SERVICE_HADDOCK_MAX_RUNS: '7',
      SERVICE_PLAIN_RUNS_PER_USER: '1',
      BERTH_PORT: '1',
    });
    expect(problems).toEqual([]);
    expect(services).toEqual({
      haddock: {
        name: 'haddock',
        image: 'example.com/haddock:3',
        class: DEFAULT_CLASSES[1],
        runs_per_user: 2,
        max_runs: 7,
      },
      plain: { name: 'plain', runs_per_user: 1, max_runs: 10 },
    });
  });

  it('may have underscores in their names', () => {
    const { services } = parse({ SERVICE_MY_TOOL_MAX_RUNS: '3', SERVICE_MAX_RUNS_RUNS_PER_USER: '4' });
    expect(Object.keys(services)).toEqual(['my_tool', 'max_runs']);
    expect(services.my_tool).toMatchObject({ max_runs: 3, runs_per_user: 5 });
    expect(services.max_runs).toMatchObject({ max_runs: 10, runs_per_user: 4 });
  });

  it('are named by the addresses of the old clients too, and by nothing else', () => {
    const { services } = parse({
      SERVICE_OLD_UPLOAD_URL: 'http://c:9000/submit',
      SERVICE_PORT: '80',
      SERVICE_X_HOST: 'x',
    });
    expect(Object.keys(services)).toEqual(['old']);
  });

  it.each([
    [{ SERVICE_A_MAX_RUNS: 'many' }, 'SERVICE_A_MAX_RUNS: must be a whole number from 0 to 1000000'],
    [{ SERVICE_A_RUNS_PER_USER: '-1' }, 'SERVICE_A_RUNS_PER_USER: must be a whole number from 0 to 1000000'],
    [{ SERVICE_A_RUNS_PER_USER: '1.5' }, 'SERVICE_A_RUNS_PER_USER: must be a whole number from 0 to 1000000'],
    [{ SERVICE_A_CLASS: 'huge' }, 'SERVICE_A_CLASS: must be a resource class: small, medium, large, gpu'],
    [{ SERVICE_A_IMAGE: 'no image' }, 'SERVICE_A_IMAGE: must be an image reference'],
    [{ MAX_AGE: 'long' }, 'MAX_AGE: must be a number of seconds'],
  ])('with %j stop the start with its name', (environment: Record<string, string>, message) => {
    expect(() => toApiConfig(environment)).toThrow(message);
  });
});
