/** Transcripts: requests and the replies that both dotdo and a real Redis give. For tests only.
 *
 *      # a comment; empty lines mean nothing
 *      > SET key "a value with \x00 bytes"     a request: words, quoted as in redis-cli
 *      < +OK                                   its reply
 *      > HKEYS h
 *      <~ ["a" "b"]                            the same elements in any order
 *      > TTL key
 *      <in 98 100                              an integer in a range
 *      > RANDOMKEY
 *      <of ["a" "b"]                           one of these
 *      > XPENDING s g - + 1
 *      <* [["1-1" "c" * :1]]                   `*` stands for anything that is no array or map
 *      @since 7.4.0                            older servers skip the next request
 *      @ours why                               only dotdo runs the next request
 *      @redis why                              only Redis runs it
 *
 *  Replies are RESP3 on one line: `+simple`, `-ERR error`, `:1`, `"bulk"`, `nil`, `["array" :1]`, `~["set"]`,
 *  `{"key" "value"}`, `,1.5`. */
import type { Bin } from '@dotdo/core/bytes'
import { formatDouble } from './codec.ts'
import type { Value } from './value.ts'

/** A reply: as a value of ours, or as the tester read it from a server. */
export type Reply = Value

/** How a reply is compared. */
export type Comparison = '' | '~' | 'in' | 'of' | '*'

/** A request with the reply that must come. */
export interface Exchange {
  readonly line: number
  readonly argv: readonly Bin[]
  readonly comparison: Comparison
  readonly expected: string
  readonly since?: string
  readonly only?: 'ours' | 'redis'
}

/** Show bytes in quotes, as redis-cli does. */
function quote(bin: Bin): string {
  const escaped = bin.replace(/[\\"]|[^ -~]/g, (char) =>
    char === '\\' || char === '"' ? `\\${char}` : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
  return `"${escaped}"`
}

/** As Array.isArray, which does not see through readonly. */
function isList(value: Reply): value is readonly Value[] {
  return Array.isArray(value)
}

/** Show a reply on one line. */
export function show(value: Reply): string {
  if (value === null) return 'nil'
  if (typeof value === 'number') return `:${value}`
  if (typeof value === 'string') return quote(value)
  if (isList(value)) return `[${value.map(show).join(' ')}]`
  if ('int64' in value) return `:${value.int64}`
  if ('simple' in value) return `+${value.simple}`
  if ('bool' in value) return value.bool ? '#t' : '#f'
  if ('error' in value) return `-${value.error}`
  if ('nilArray' in value) return 'nil'
  if ('keyed' in value) return show({ map: value.keyed })
  if ('map' in value) return `{${value.map.map(([name, item]) => `${show(name)} ${show(item)}`).join(' ')}}`
  // A double that says how it is written is read as that by a client.
  if ('double' in value) return `,${formatDouble(value.text === undefined ? value.double : Number(value.text))}`
  if ('set' in value) return `~[${value.set.map(show).join(' ')}]`
  if ('pairs' in value) return `[${value.pairs.map((pair) => show(pair)).join(' ')}]`
  throw new Error(`no transcript shows ${JSON.stringify(value)}`)
}

/** The elements of an array or map, each as text. */
function elements(shown: string): string[] {
  const parts = tokens(shown.slice(1, -1))
  if (shown.startsWith('[')) return parts
  return parts.flatMap((part, i) => (i % 2 === 0 ? [`${part} ${parts[i + 1]}`] : []))
}

/** Cut at spaces outside of quotes and brackets. */
function tokens(text: string): string[] {
  const found: string[] = []
  let depth = 0
  let token = ''
  for (const [part] of text.matchAll(/"(?:\\.|[^"\\])*"|./gs)) {
    if (part === ' ' && depth === 0) {
      if (token !== '') found.push(token)
      token = ''
      continue
    }
    if (part === '[' || part === '{') depth++
    if (part === ']' || part === '}') depth--
    token += part
  }
  return token === '' ? found : [...found, token]
}

/** Make the pattern of what an exchange expects: `*` outside of quotes stands for any value without brackets. */
function pattern(expected: string): RegExp {
  const parts = expected.matchAll(/"(?:\\.|[^"\\])*"|./gs)
  const escaped = [...parts].map(([part]) =>
    part === '*' ? '(?:"(?:\\\\.|[^"\\\\])*"|[^\\s"\\[\\]{}]+)' : part.replace(/[^\w ]/g, '\\$&'),
  )
  return new RegExp(`^${escaped.join('')}$`)
}

/** Whether a reply, shown, is what an exchange expects. */
export function agrees({ comparison, expected }: Exchange, shown: string): boolean {
  if (comparison === '') return shown === expected
  if (comparison === '*') return pattern(expected).test(shown)
  if (comparison === 'of') return elements(expected).includes(shown)
  if (comparison === 'in') {
    const [low, high] = expected.split(' ').map(Number) as [number, number]
    const value = Number(shown.slice(1))
    return shown.startsWith(':') && value >= low && value <= high
  }
  const sorted = (text: string) => text[0] + elements(text.replace(/^~/, '')).sort().join(' ')
  return /^(~?\[|\{)/.test(shown) && sorted(shown) === sorted(expected)
}

function unquote(word: string): Bin {
  if (!word.startsWith('"')) return word
  return word.slice(1, -1).replace(/\\x([0-9a-f]{2})|\\(.)/gi, (_, hex: string | undefined, char: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
    return { n: '\n', r: '\r', t: '\t' }[char] ?? char
  })
}

/** Cut a request into words. */
function words(text: string): Bin[] {
  return [...text.matchAll(/"(?:\\.|[^"\\])*"|\S+/g)].map(([word]) => unquote(word))
}

/** Read a transcript.
 *  @throws Error naming the line that makes no sense */
export function parseTranscript(text: string): Exchange[] {
  const exchanges: Exchange[] = []
  let condition: Pick<Exchange, 'since' | 'only'> = {}
  let request: Bin[] | undefined
  for (const [at, line] of text.split('\n').entries()) {
    const [, mark, rest = ''] = /^(>|<(?:~|in|of|\*)?|@since|@ours|@redis|#)(?: (.*))?$/.exec(line) ?? []
    if (line.trim() === '' || mark === '#') continue
    if (mark === '@since') condition = { since: rest }
    else if (mark === '@ours' || mark === '@redis') condition = { only: mark.slice(1) as 'ours' | 'redis' }
    else if (mark === '>' && request === undefined) request = words(rest)
    else if (mark?.startsWith('<') && request !== undefined) {
      const comparison = mark.slice(1) as Comparison
      exchanges.push({ line: at + 1, argv: request, comparison, expected: rest, ...condition })
      request = undefined
      condition = {}
    } else throw new Error(`line ${at + 1} makes no sense here: ${line}`)
  }
  if (request !== undefined) throw new Error(`the last request has no reply: ${request.join(' ')}`)
  return exchanges
}

/** Whether a version is at least another one. */
export function atLeast(version: string, wanted: string): boolean {
  const [have, want] = [version, wanted].map((text) => text.split('.').map(Number)) as [number[], number[]]
  for (const [i, part] of want.entries()) if (have[i] !== part) return (have[i] ?? 0) > part
  return true
}

/** Run a transcript.
 *  @returns where replies differ from what is expected; empty when none does */
export async function disagreements(
  exchanges: readonly Exchange[],
  run: (argv: Exchange['argv']) => Promise<Reply>,
): Promise<string> {
  const wrong: string[] = []
  for (const exchange of exchanges) {
    const shown = show(await run(exchange.argv))
    if (agrees(exchange, shown)) continue
    const { line, argv, comparison, expected } = exchange
    wrong.push(`line ${line}: ${argv.join(' ')}\n  expected <${comparison} ${expected}\n  got      <  ${shown}`)
  }
  return wrong.join('\n')
}
