import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownPath } from '#app/app.js';

// The same cases as in the example in Go.
for (const [address, path] of [
  ['https://shop.example/orders?id=1', '/orders?id=1'],
  ['https://shop.example', '/'],
  ['https://shop.example//evil', '/'],
  ['https://shop.example/\\evil', '/'],
  ['https://shop.example/.//evil', '/'],
  ['https://evil.example/', '/'],
  ['http://shop.example/', '/'],
  ['https://shop.example@evil/', '/'],
  ['https://shop.example:444/', '/'],
  ['//evil', '/'],
  ['/orders', '/'],
  ['', '/'],
  ['javascript://shop.example/%0Aa()', '/'],
  [undefined, '/'],
  [['https://evil.example/', 'https://shop.example/orders'], '/'],
  [{ toString: 'https://shop.example/orders' }, '/'],
] as [unknown, string][]) {
  test(`${String(JSON.stringify(address))} leads to ${path}`, () => {
    assert.equal(ownPath(address, 'https://shop.example'), path);
  });
}
