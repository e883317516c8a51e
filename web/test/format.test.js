import assert from 'node:assert/strict';
import test from 'node:test';
import * as format from '../static/js/format.js';

function table(fn, rows) {
  for (const [args, want] of rows) assert.equal(fn(...args), want, `${fn.name}(${args.join(', ')})`);
}

test('arithmetic is exact', () => {
  table(format.add, [
    [['0.1', '0.2'], '0.3'],
    [['9007199254740993', '0.00000001'], '9007199254740993.00000001'],
    [['-1', '1'], '0'],
    [['0.05', '0.95'], '1'],
  ]);
  table(format.subtract, [[['64210.2', '64210.1'], '0.1'], [['1', '1.5'], '-0.5'], [['0', '0'], '0']]);
  table(format.middle, [
    [['64210.1', '64210.2'], '64210.15'],
    [['0.0000098772', '0.0000098773'], '0.00000987725'],
    [['10', '20'], '15'],
    [['-1', '1'], '0'],
  ]);
});

test('ratio rounds half away from zero', () => {
  table(format.ratio, [
    [['1', '3', 2], '0.33'],
    [['1', '8', 2], '0.13'],
    [['-1', '8', 2], '-0.13'],
    [['1.03', '186.2', 2, 2], '0.55'],
    [['1', '-8', 2], '-0.13'],
    [['1', '0', 2], null],
  ]);
});

test('compare orders by value, not by text', () => {
  const sorted = ['-2', '-1.5', '0', '0.00001', '0.5', '9', '9.1', '10', '100.01'];
  const mixed = [...sorted].reverse().sort(format.compare);
  assert.deepEqual(mixed, sorted);
  assert.equal(format.compare('1', '1.000'), 0);
});

test('prices are grouped, padded, and never cut', () => {
  table(format.price, [
    [['64210.1', 2], '64,210.10'],
    [['64210.125', 2], '64,210.125'],
    [['1234567', 0], '1,234,567'],
    [['999', 0], '999'],
    [['0.0000098772', 2], '0.0000098772'],
    [['-1234.5', 2], '\u22121,234.50'],
  ]);
  table(format.signed, [[['0.5', 2], '+0.50'], [['-0.5', 2], '\u22120.50'], [['0', 2], '0.00']]);
});

test('sizes are rounded, and what is too small is not zero', () => {
  table(format.size, [
    [['1.23456', 4], '1.2346'],
    [['0.00001', 4], '<0.0001'],
    [['0', 4], '0.0000'],
    [['1500', 0], '1,500'],
    [['0.5', 0], '1'],
    [['12', 2], '12.00'],
  ]);
  table(format.looseSize, [[['100', 2], '100'], [['11.05', 2], '11.05'], [['0.001', 2], '<0.01']]);
  table(format.sizeDecimals, [[['64210.1', 8], 4], [['0.93', 8], 0], [['186.5', 1], 1], [['-37.6', 8], 1]]);
});

test('large quantities keep about four digits', () => {
  table(format.compact, [
    [['1204300'], '1.204M'],
    [['999999'], '1.000M'],
    [['99999'], '100.00K'],
    [['9999500'], '10.000M'],
    [['12043'], '12.04K'],
    [['9999.4'], '9,999'],
    [['1615.93'], '1,616'],
    [['0.123456'], '0.1235'],
    [['98765432109876'], '98.77T'],
    [['-1204300'], '\u22121.204M'],
    [['0'], '0'],
  ]);
});

test('what is no decimal is refused', () => {
  for (const text of ['', '1e5', '.5', '5.', 'NaN', '0x10', ' 1', null, 1.5]) {
    assert.throws(() => format.parse(text), TypeError, String(text));
  }
});

test('toText is canonical', () => {
  for (const [text, want] of [['1.500', '1.5'], ['-0.00', '0'], ['100', '100'], ['0.10', '0.1'], ['10.0', '10']]) {
    assert.equal(format.toText(format.parse(text)), want);
  }
});

test('spans are told in one unit', () => {
  table(format.span, [[[0.18], '180 µs'], [[1.44], '1.4 ms'], [[250], '250 ms'], [[3210], '3.2 s'], [[65_000], '65 s']]);
  table(format.longSpan, [[[3999], '3 s'], [[120_000], '2 min'], [[7_200_000], '2 h'], [[1e9], '11 d'], [[-5], '0 s']]);
});
