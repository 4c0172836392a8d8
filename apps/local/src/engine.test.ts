import { describe, expect, it } from 'vitest';
import { toMissingMessage } from './engine.js';
import { isDebianLike } from './install.js';

describe('a machine without an engine', () => {
  it('gets the commands to type', () => {
    expect(toMissingMessage(false, false, 'linux')).toMatch(/sudo apt-get install -y docker\.io crun redis-server/);
    expect(toMissingMessage(true, false, 'linux')).not.toMatch(/apt-get/);
    expect(toMissingMessage(true, false, 'linux')).toMatch(/systemctl start docker/);
    expect(toMissingMessage(false, true, 'linux')).not.toMatch(/sudo|systemctl/);
    expect(toMissingMessage(false, false, 'darwin')).toMatch(/Docker Desktop/);
  });

  it('is told apart by its os-release', () => {
    expect(isDebianLike('PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\n')).toBe(true);
    expect(isDebianLike('ID=linuxmint\nID_LIKE="ubuntu debian"\n')).toBe(true);
    expect(isDebianLike('ID=fedora\nHOME_URL="https://debian.example"\n')).toBe(false);
    expect(isDebianLike('')).toBe(false);
  });
});
