/** Ten million frames, random and mutated, through the decoder of requests. Without fast-check, which makes some
 *  thousand a second: frames come from a seeded generator, and a failure tells its seed.
 *
 *  1. Nothing is thrown, whatever arrives.
 *  2. What is whole is read as it was sent, up to the first mutated frame: nothing is read twice or skipped.
 *  3. It does not matter how the bytes are cut.
 *  4. After an error nothing is read any more. */
import { expect, test } from 'vitest'
import { RequestDecoder } from './codec.ts'

const FRAMES = Number(process.env.DOTDO_CODEC_FRAMES ?? 10_000_000)
const FRAMES_PER_STREAM = 64

/** Numbers from a seed: xorshift of 32 bits. */
class Numbers {
  private state: number
  constructor(seed: number) {
    this.state = seed | 1
  }

  below(bound: number): number {
    let { state } = this
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    this.state = state
    return (state >>> 0) % bound
  }
}

const junk = [
  '*',
  '$',
  '\r',
  '\n',
  '\r\n',
  '*3\r\n',
  '$5\r\n',
  '*-1\r\n',
  '$-1\r\n',
  '"',
  "'",
  '\\x',
  '\0',
  ' ',
  'GET a\r\n',
]
const large = [
  '*99999999999\r\n',
  '$16777217\r\n',
  '*1048577\r\n',
  '*1\r\n$99999999999999999999\r\n',
  ':1\r\n',
  '*1\r\n+x\r\n',
]

function word(numbers: Numbers): string {
  const length = numbers.below(6)
  let text = ''
  for (let i = 0; i < length; i++) text += String.fromCharCode(numbers.below(256))
  return text
}

function frame(argv: readonly string[]): string {
  let text = `*${argv.length}\r\n`
  for (const each of argv) text += `$${each.length}\r\n${each}\r\n`
  return text
}

function mutated(numbers: Numbers, bytes: string): string {
  const at = numbers.below(bytes.length)
  const kind = numbers.below(5)
  const rest = bytes.slice(at)
  if (kind === 0) return bytes.slice(0, at) + rest.slice(1)
  if (kind === 1) return bytes.slice(0, at) + String.fromCharCode(numbers.below(256)) + rest.slice(1)
  if (kind === 2) return bytes.slice(0, at) + String.fromCharCode(numbers.below(256)) + rest
  if (kind === 3) return bytes.slice(0, at) + (junk[numbers.below(junk.length)] as string) + rest
  return (large[numbers.below(large.length)] as string) + rest
}

/** Decode bytes, in pieces of up to so many. */
function decode(
  bytes: Uint8Array,
  numbers: Numbers,
  most: number,
): { requests: string[][]; error: string | undefined } {
  const decoder = new RequestDecoder()
  const requests: string[][] = []
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + numbers.below(most))
    decoder.push(bytes.slice(at, end))
    at = end
    for (let argv = decoder.next(); argv !== undefined; argv = decoder.next()) requests.push(argv)
    if (decoder.heldBytes > bytes.length) throw new Error('more is held than came')
  }
  const { error } = decoder
  if (error !== undefined) {
    decoder.push(Uint8Array.from(Buffer.from('*1\r\n$4\r\nPING\r\n')))
    if (decoder.next() !== undefined) throw new Error('something is read after an error')
  }
  return { requests, error }
}

const same = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((each, i) => each === b[i])

function check(seed: number): void {
  const numbers = new Numbers(seed)
  const sent: string[][] = []
  let wire = ''
  // Most streams have one broken frame, some none.
  const broken = numbers.below(FRAMES_PER_STREAM * 2)
  for (let i = 0; i < FRAMES_PER_STREAM; i++) {
    const argv = Array.from({ length: 1 + numbers.below(3) }, () => word(numbers))
    sent.push(argv)
    wire += i === broken ? mutated(numbers, frame(argv)) : frame(argv)
  }
  const bytes = Uint8Array.from(Buffer.from(wire, 'latin1'))
  const whole = decode(bytes, numbers, bytes.length)
  const pieces = decode(bytes, numbers, 1 + numbers.below(40))
  if (whole.error !== pieces.error || whole.requests.length !== pieces.requests.length) throw new Error('cuts matter')
  if (!whole.requests.every((argv, i) => same(argv, pieces.requests[i] as string[]))) throw new Error('cuts matter')
  if (whole.error !== undefined && !whole.error.startsWith('Protocol error: ')) throw new Error(whole.error)
  const good = Math.min(broken, FRAMES_PER_STREAM)
  for (let i = 0; i < good; i++) {
    if (!same(whole.requests[i] ?? [], sent[i] as string[])) throw new Error(`request ${i} is another one`)
  }
  if (good === FRAMES_PER_STREAM && whole.requests.length !== FRAMES_PER_STREAM) throw new Error('too many requests')
}

test(`${FRAMES} frames are read as they were sent, or refused`, () => {
  let frames = 0
  for (let seed = 1; frames < FRAMES; seed++) {
    try {
      check(Math.imul(seed, 0x9e3779b1))
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
    frames += FRAMES_PER_STREAM
  }
  expect(frames).toBeGreaterThanOrEqual(FRAMES)
})
