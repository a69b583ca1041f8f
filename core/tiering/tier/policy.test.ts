import { describe, expect, it } from 'vitest'
import { parseDuration, parsePolicy, parseSize } from './policy.ts'

const subject = { collection: 'docs', payload: true, stores: ['archive'] }

describe('durations and sizes', () => {
  it('are numbers with a unit', () => {
    const durations = ['250ms', '1s', '15m', '1.5h', '7d', '2w'].map((text) => parseDuration('x', text))
    expect(durations).toEqual([250, 1_000, 900_000, 5_400_000, 604_800_000, 1_209_600_000])
    expect(['1b', '1kb', '1.5 MB', '2gb'].map((text) => parseSize('x', text))).toEqual([1, 1024, 1_572_864, 2 ** 31])
  })

  it.each(['', '7', 'd', '-1d', '7 years', '1e3s', '1d 2h', 7, null, '100000w'])('%j is no duration', (text) => {
    expect(() => parseDuration('hotFor', text)).toThrow(expect.objectContaining({ code: 'invalid' }))
  })

  it.each(['', '7', 'mb', '-1mb', '1tb', 64, undefined])('%j is no size', (text) => {
    expect(() => parseSize('flushBytes', text)).toThrow(expect.objectContaining({ code: 'invalid' }))
  })
})

describe('a policy', () => {
  it('has defaults', () => {
    const defaults = { mirror: true, changes: true, flushEveryMs: 900_000, flushBytes: 8_388_608 }
    expect(parsePolicy({}, subject)).toEqual(defaults)
  })

  it('is checked as a whole', () => {
    const full = { hotFor: '7d', maxHotRows: 10, maxHotBytes: '1gb', cold: { after: '90d', store: 'archive' } }
    expect(parsePolicy(full, subject)).toMatchObject({
      hotForMs: 604_800_000,
      maxHotRows: 10,
      maxHotBytes: 2 ** 30,
      cold: { afterMs: 7_776_000_000, store: 'archive' },
    })
  })

  it.each([
    [{ hot: '7d' }, 'no policy option'],
    [{ mirror: 'yes' }, 'true or false'],
    [{ mirror: false, changes: false }, 'does nothing'],
    [{ mirror: false, maxHotBytes: '1mb' }, 'needs mirror'],
    [{ maxHotRows: -1 }, 'from 0 on'],
    [{ maxHotRows: 1.5 }, 'from 0 on'],
    [{ flushEvery: '0s' }, '1ms at the least'],
    [{ flushBytes: '0b' }, '1b at the least'],
    [{ cold: { after: '1d' } }, '{ after, store }'],
    [{ cold: { after: '1d', store: 'tape' } }, 'no archive'],
  ])('%j is refused', (options, message) => {
    expect(() => parsePolicy(options as never, subject)).toThrow(message)
  })

  it('needs a payload for what leaves, and a table name of its own', () => {
    const bare = { ...subject, payload: false }
    expect(() => parsePolicy({ hotFor: '1d' }, bare)).toThrow('no payload')
    for (const collection of ['changes', 'dead_letters']) {
      expect(() => parsePolicy({}, { ...subject, collection })).toThrow('cannot be tiered')
    }
  })
})
