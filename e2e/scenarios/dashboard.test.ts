import { existsSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth, until } from '../harness.js';

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = [process.env.BERTH_TEST_BROWSER ?? '', ...BROWSERS].find(existsSync) ?? '';
if (executablePath === '') {
  process.stderr.write(
    '\nNOT TESTED: the dashboard in a browser, as there is none here. `apt-get install chromium`, or set BERTH_TEST_BROWSER.\n\n',
  );
}

/** A person looks at the dashboard in a browser after some jobs have run. */
describe.skipIf(executablePath === '')('the dashboard in a browser', () => {
  const hostile = '<img src=x onerror="document.title=1">';
  let berth: Berth;
  let browser: Browser;
  const jobs: Record<string, string> = {};

  beforeAll(async () => {
    berth = await startBerth();
    const specs = {
      greet: { command: 'echo hi' },
      broken: { command: ['sh', '-c', 'exit 3'] },
      late: { command: 'sleep 60', timeout_seconds: 1 },
      [hostile]: { command: ['echo', '<script>document.title=1</script>'] },
    };
    for (const [name, spec] of Object.entries(specs)) {
      jobs[name] = (await berth.submit({ name, cpus: 0.25, ...spec })).job_id;
    }
    await Promise.all(Object.values(jobs).map((job_id) => berth.wait(job_id)));
    const args = ['--no-sandbox', '--disable-dev-shm-usage'];
    browser = await chromium.launch({ timeout: 60_000, executablePath, args });
  });
  afterAll(async () => {
    await browser?.close();
    await berth?.close();
  });

  /** A page, and all that it asks for, says and complains of, but for a broker that does not answer. */
  const openPage = async (path: string) => {
    const page: Page = await browser.newPage({ viewport: { width: 1400, height: 1200 } });
    page.setDefaultTimeout(60_000);
    const seen = { requests: [] as URL[], complaints: [] as string[] };
    page.on('request', (request) => seen.requests.push(new URL(request.url())));
    page.on('console', (message) => {
      if (message.type() === 'error' && !/status of 503/.test(message.text())) seen.complaints.push(message.text());
    });
    page.on('pageerror', (error) => seen.complaints.push(error.message));
    await until(`${path} to open`, async () => (await page.goto(`${berth.url}${path}`))?.ok() || undefined);
    return { page, seen };
  };

  it('shows name, image, command, outcome and node of each job, and asks nobody else for anything', async () => {
    const { page, seen } = await openPage('/dashboard');
    await page.getByRole('link', { name: 'small' }).first().click();
    const node = String((await berth.wait(jobs.greet ?? '')).node);
    for (const title of [
      `greet · busybox:stable · echo hi · completed, on ${node}`,
      `broken · busybox:stable · sh -c exit 3 · failed, exit code 3, on ${node}`,
      `late · busybox:stable · sleep 60 · failed, timeout, on ${node}`,
      `${hostile} · busybox:stable · echo <script>document.title=1</script> · completed, on ${node}`,
    ]) {
      await page.getByText(title, { exact: true }).waitFor();
    }
    expect(await page.title()).toMatch(/Berth/);
    expect(await page.locator('#root img[src="x"]').count()).toBe(0);

    const foreign = seen.requests.filter((url) => url.protocol !== 'data:' && url.origin !== berth.url);
    expect(foreign.map(String)).toEqual([]);
    expect(seen.requests.map((url) => url.pathname)).toContain('/dashboard/api/queues');
    expect(seen.complaints).toEqual([]);
  });

  it('links each row to the job under /v1, and shows no stack of ours', async () => {
    const { page } = await openPage(`/dashboard/queue/small/${jobs.broken}-1`);
    const link = page.getByRole('link', { name: 'Open the job' });
    expect(await link.getAttribute('href')).toBe(`/v1/jobs/${jobs.broken}`);
    await page.getByText('failed: exit code 3').waitFor();
    expect(await page.locator('body').innerText()).not.toMatch(/consumer\.js|node:internal/);
  });

  it('offers no button that would change anything', async () => {
    const { page } = await openPage('/dashboard/queue/small?status=failed');
    await page.getByText(/^broken · /).waitFor();
    const buttons = await page
      .getByRole('button')
      .evaluateAll((all) => all.map((b) => `${b.title} ${b.ariaLabel} ${b.textContent}`));
    expect(
      buttons.filter((text) => /retry|clean|remove|promote|pause|obliterate|empty|add job|edit|update/i.test(text)),
    ).toEqual([]);
  });
});
