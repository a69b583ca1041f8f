/** Lua's patterns: a matcher that backtracks over the pattern as it stands.
 *  @source Lua 5.1 reference manual, 5.4.1 */
import type { Bin } from '@dotdo/core/bytes'
import type { Machine } from './machine.ts'

/** The characters that mean something in a pattern. */
export const SPECIALS = /[\^$*+?.([%-]/

const CAPTURES_MAX = 32
/** How deep matching goes into itself: once for each item that may match more than one way. */
const DEPTH_MAX = 200
const UNCLOSED = -1
const POSITION = -2

const PERCENT = 37
const DOLLAR = 36
const OPEN = 40
const CLOSE = 41
const STAR = 42
const PLUS = 43
const MINUS = 45
const DOT = 46
const QUESTION = 63
const BRACKET = 91
const BRACKET_END = 93
const CARET = 94

function inClass(code: number, letter: number): boolean {
  const lower = letter | 0x20
  const inside = classes[String.fromCharCode(lower)]?.(code)
  if (inside === undefined) return letter === code
  return letter === lower ? inside : !inside
}

const isDigit = (code: number) => code >= 48 && code <= 57
const isLower = (code: number) => code >= 97 && code <= 122
const isUpper = (code: number) => code >= 65 && code <= 90
const isLetter = (code: number) => isLower(code | 0x20) && code < 128
const isGraphic = (code: number) => code > 32 && code < 127

/** The classes of the C locale. */
const classes: Record<string, (code: number) => boolean> = {
  a: isLetter,
  c: (code) => code < 32 || code === 127,
  d: isDigit,
  l: isLower,
  p: (code) => isGraphic(code) && !isLetter(code) && !isDigit(code),
  s: (code) => code === 32 || (code >= 9 && code <= 13),
  u: isUpper,
  w: (code) => isLetter(code) || isDigit(code),
  x: (code) => isDigit(code) || ((code | 0x20) >= 97 && (code | 0x20) <= 102),
  z: (code) => code === 0,
}

/** Matches one pattern against one subject. */
export class Matcher {
  private readonly machine: Machine
  private readonly subject: Bin
  private readonly pattern: Bin
  /** Start and length of each capture of the last match. */
  private readonly starts: number[] = []
  private readonly lengths: number[] = []
  private level = 0
  private depth = 0

  constructor(machine: Machine, subject: Bin, pattern: Bin) {
    this.machine = machine
    this.subject = subject
    this.pattern = pattern
  }

  /** Match from a place on, the pattern from `from` on.
   *  @returns the end of the match, or -1 */
  matchAt(at: number, from: number): number {
    this.level = 0
    this.depth = 0
    return this.match(at, from)
  }

  /** How many captures the last match has. */
  get captures(): number {
    return this.level
  }

  /** Get a capture of the last match; the whole match when there is none and the first is asked for. */
  capture(index: number, start: number, end: number): Bin | number {
    if (index >= this.level) {
      if (index !== 0) throw this.machine.fail('invalid capture index')
      return this.subject.slice(start, end)
    }
    const length = this.lengths[index] as number
    const from = this.starts[index] as number
    if (length === UNCLOSED) throw this.machine.fail('unfinished capture')
    return length === POSITION ? from + 1 : this.subject.slice(from, from + length)
  }

  private match(start: number, from: number): number {
    if (++this.depth > DEPTH_MAX) throw this.machine.fail('pattern too complex')
    try {
      return this.matchItems(start, from)
    } finally {
      this.depth--
    }
  }

  private matchItems(start: number, from: number): number {
    const { pattern, subject } = this
    let at = start
    let item = from
    for (;;) {
      if (--this.machine.stepsLeft < 0) this.machine.enter()
      if (item >= pattern.length) return at
      const code = pattern.charCodeAt(item)
      if (code === OPEN) {
        const position = pattern.charCodeAt(item + 1) === CLOSE
        return this.open(at, position ? item + 2 : item + 1, position ? POSITION : UNCLOSED)
      }
      if (code === CLOSE) return this.close(at, item + 1)
      if (code === DOLLAR && item + 1 === pattern.length) return at === subject.length ? at : -1
      if (code === PERCENT) {
        const next = pattern.charCodeAt(item + 1)
        if (next === 98) {
          at = this.balanced(at, item + 2)
          if (at < 0) return -1
          item += 4
          continue
        }
        if (next === 102) {
          const end = this.frontier(at, item + 2)
          if (end < 0) return -1
          item = end
          continue
        }
        if (isDigit(next)) {
          at = this.backReference(at, next)
          if (at < 0) return -1
          item += 2
          continue
        }
      }
      const end = this.itemEnd(item)
      const suffix = pattern.charCodeAt(end)
      if (suffix === STAR) return this.expand(at, item, end, 0)
      if (suffix === PLUS) return this.expand(at, item, end, 1)
      if (suffix === MINUS) return this.expandLeast(at, item, end)
      const fits = this.fits(at, item, end)
      if (suffix === QUESTION) {
        const longer = fits ? this.match(at + 1, end + 1) : -1
        if (longer >= 0) return longer
        item = end + 1
        continue
      }
      if (!fits) return -1
      at += 1
      item = end
    }
  }

  /** Find the end of a single item. */
  private itemEnd(item: number): number {
    const { pattern, machine } = this
    const code = pattern.charCodeAt(item)
    if (code === PERCENT) {
      if (item + 1 >= pattern.length) throw machine.fail("malformed pattern (ends with '%')")
      return item + 2
    }
    if (code !== BRACKET) return item + 1
    let at = item + 1
    if (pattern.charCodeAt(at) === CARET) at++
    do {
      if (at >= pattern.length) throw machine.fail("malformed pattern (missing ']')")
      at += pattern.charCodeAt(at) === PERCENT ? 2 : 1
    } while (pattern.charCodeAt(at) !== BRACKET_END)
    return at + 1
  }

  private fits(at: number, item: number, end: number): boolean {
    const { subject, pattern } = this
    if (at >= subject.length) return false
    const code = subject.charCodeAt(at)
    const first = pattern.charCodeAt(item)
    if (first === DOT) return true
    if (first === PERCENT) return inClass(code, pattern.charCodeAt(item + 1))
    return first === BRACKET ? this.inSet(code, item, end - 1) : first === code
  }

  /** Whether a code is in a set. @param last where its `]` is */
  private inSet(code: number, item: number, last: number): boolean {
    const { pattern } = this
    const negated = pattern.charCodeAt(item + 1) === CARET
    let at = negated ? item + 2 : item + 1
    while (at < last) {
      const here = pattern.charCodeAt(at)
      if (here === PERCENT) {
        if (inClass(code, pattern.charCodeAt(at + 1))) return !negated
        at += 2
      } else if (pattern.charCodeAt(at + 1) === MINUS && at + 2 < last) {
        if (here <= code && code <= pattern.charCodeAt(at + 2)) return !negated
        at += 3
      } else {
        if (here === code) return !negated
        at += 1
      }
    }
    return negated
  }

  private expand(start: number, item: number, end: number, least: number): number {
    let count = 0
    while (this.fits(start + count, item, end)) count++
    this.machine.stepsLeft -= count >> 4
    for (; count >= least; count--) {
      const found = this.match(start + count, end + 1)
      if (found >= 0) return found
    }
    return -1
  }

  private expandLeast(start: number, item: number, end: number): number {
    for (let at = start; ; at++) {
      const found = this.match(at, end + 1)
      if (found >= 0) return found
      if (!this.fits(at, item, end)) return -1
    }
  }

  private open(at: number, item: number, length: number): number {
    if (this.level >= CAPTURES_MAX) throw this.machine.fail('too many captures')
    this.starts[this.level] = at
    this.lengths[this.level] = length
    this.level++
    const found = this.match(at, item)
    if (found < 0) this.level--
    return found
  }

  private close(at: number, item: number): number {
    let index = this.level - 1
    while (index >= 0 && this.lengths[index] !== UNCLOSED) index--
    if (index < 0) throw this.machine.fail('invalid pattern capture')
    this.lengths[index] = at - (this.starts[index] as number)
    const found = this.match(at, item)
    if (found < 0) this.lengths[index] = UNCLOSED
    return found
  }

  private balanced(at: number, item: number): number {
    const { subject, pattern } = this
    if (item + 1 >= pattern.length) throw this.machine.fail('unbalanced pattern')
    const [begin, end] = [pattern.charCodeAt(item), pattern.charCodeAt(item + 1)]
    if (at >= subject.length || subject.charCodeAt(at) !== begin) return -1
    let depth = 1
    for (let next = at + 1; next < subject.length; next++) {
      const code = subject.charCodeAt(next)
      if (code === end) {
        if (--depth === 0) return next + 1
      } else if (code === begin) depth++
    }
    return -1
  }

  /** @returns where the pattern goes on, or -1 */
  private frontier(at: number, item: number): number {
    const { subject, pattern } = this
    if (pattern.charCodeAt(item) !== BRACKET) throw this.machine.fail("missing '[' after '%f' in pattern")
    const end = this.itemEnd(item)
    const before = at === 0 ? 0 : subject.charCodeAt(at - 1)
    const here = at < subject.length ? subject.charCodeAt(at) : 0
    return !this.inSet(before, item, end - 1) && this.inSet(here, item, end - 1) ? end : -1
  }

  private backReference(at: number, digit: number): number {
    const index = digit - 49
    const length = this.lengths[index]
    if (index < 0 || index >= this.level || length === UNCLOSED || length === undefined) {
      throw this.machine.fail('invalid capture index')
    }
    const from = this.starts[index] as number
    const text = this.subject.slice(from, from + Math.max(0, length))
    return this.subject.startsWith(text, at) ? at + text.length : -1
  }
}
