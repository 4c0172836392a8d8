import { describe, expect, it } from 'vitest';
import { checkRegistry } from './image-policy.js';

describe('checkRegistry', () => {
  it.each([
    'busybox',
    'library/busybox:stable',
    'registry.example.com/team/tool:1',
    'registry.example.com:5000/tool',
    'a.b/c',
  ])('allows %s', (image) => {
    expect(() => checkRegistry(image, [])).not.toThrow();
  });

  it.each([
    '169.254.169.254/x',
    '127.1/x',
    '10.0.0.1:5000/x',
    'localhost/x',
    'localhost:5000/x',
    'sub.localhost/x',
    'metadata:80/x',
    '0.0.0.0:1/x',
    '0x7f.0.0.1/x',
    '169.254.0xa9fe/x',
    'metadata.google.internal/x',
    'registry.kube.svc.cluster.local:5000/x',
    'nas.home.arpa/x',
  ])('refuses %s', (image) => {
    expect(() => checkRegistry(image, ['registry.example.com'])).toThrow(/not allowed/);
  });

  it('allows what the operator lists, with or without its port', () => {
    expect(() => checkRegistry('localhost:5000/x', ['localhost:5000'])).not.toThrow();
    expect(() => checkRegistry('localhost:5001/x', ['localhost:5000'])).toThrow();
    expect(() => checkRegistry('10.0.0.1:5000/x', ['10.0.0.1'])).not.toThrow();
  });
});
