/** Proof by a second client: redis-cli reads every key back, and all is compared with the dataset. */
import { spawn, spawnSync } from 'node:child_process'
import type { Expected } from './dataset.ts'
import { connect } from './load.ts'

/** How redis-cli is got. */
export const INSTALL = 'install it with `apt-get install redis-tools` (Debian, Ubuntu) or `brew install redis`'

/** What the second client found. */
export interface Verdict {
  /** The program that read. */
  readonly client: string
  /** What it was told to do, by command, and how often. */
  readonly commands: Record<string, number>
  /** Keys the database has. */
  readonly keys: number
  /** What differs; empty when all is well. */
  readonly problems: string[]
}

type Reply = readonly string[]
/** Run commands in order. @returns a reply each: the text, or the fields and values of a hash */
type Client = (commands: readonly (readonly string[])[]) => Promise<Reply[]>

/** Read a line of `redis-cli --csv`: quoted texts with backslash escapes, and bare numbers. */
function readCsv(line: string): Reply {
  const cells = [...line.matchAll(/"((?:[^"\\]|\\.)*)"|([^",]+)/g)]
  return cells.map(([, quoted, bare]) => (quoted === undefined ? (bare as string) : quoted.replace(/\\(["\\])/g, '$1')))
}

const version = () => spawnSync('redis-cli', ['--version'], { encoding: 'utf8' }).stdout?.trim()

function redisCli(port: number, database: string): Client {
  return async (commands) => {
    const child = spawn('redis-cli', ['-p', String(port), '--csv'], { stdio: ['pipe', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk))
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    child.stdin.end([['SELECT', database], ...commands].map((words) => `${words.join(' ')}\n`).join(''))
    const status = await ended
    if (status !== 0) throw new Error(`redis-cli ended with ${status}: ${text.slice(0, 200)}`)
    const [selected, ...replies] = text.trimEnd().split('\n').map(readCsv)
    if (selected?.[0] !== 'OK') throw new Error(`redis-cli: SELECT ${database} answered ${selected}`)
    if (replies.length !== commands.length) throw new Error(`${replies.length} replies to ${commands.length} commands`)
    return replies
  }
}

function secondIoredis(port: number, database: string): Client {
  return async (commands) => {
    const client = await connect(port, database)
    try {
      const replies = await Promise.all(commands.map(([name, ...rest]) => client.call(name as string, ...rest)))
      return replies.map((reply) => (Array.isArray(reply) ? reply.map(String) : [String(reply)]))
    } finally {
      client.disconnect()
    }
  }
}

function sameFields(reply: Reply, fields: Record<string, string>): boolean {
  const found = new Map<string, string>()
  for (let i = 0; i < reply.length; i += 2) found.set(reply[i] as string, reply[i + 1] as string)
  const names = Object.keys(fields)
  return found.size === names.length && names.every((field) => found.get(field) === fields[field])
}

/** Read everything back and compare it: that nothing is there besides shows in the number of keys.
 *  @returns what differs, at most ten of each kind in words */
export async function verify(port: number, database: string, { hashes, strings }: Expected): Promise<Verdict> {
  const cli = version()
  const read = cli === undefined ? secondIoredis(port, database) : redisCli(port, database)
  const client = cli ?? `a second ioredis connection, as redis-cli is not installed; ${INSTALL}`
  const keys = [...hashes.keys(), ...strings.keys()]
  const commands = keys.map((key) => [hashes.has(key) ? 'HGETALL' : 'GET', key])
  const [size, ...replies] = await read([['DBSIZE'], ...commands])
  const wrong: string[] = []
  for (const [i, key] of keys.entries()) {
    const reply = replies[i] as Reply
    const fields = hashes.get(key)
    const same = fields === undefined ? reply[0] === strings.get(key) : sameFields(reply, fields)
    if (!same) wrong.push(`${key} holds ${JSON.stringify(reply)}; want ${JSON.stringify(fields ?? strings.get(key))}`)
  }
  const problems = wrong.slice(0, 10)
  if (wrong.length > 10) problems.push(`and ${wrong.length - 10} more keys are wrong`)
  const found = Number(size?.[0])
  if (found !== keys.length) problems.push(`there are ${found} keys; want ${keys.length}`)
  return { client, commands: { DBSIZE: 1, HGETALL: hashes.size, GET: strings.size }, keys: found, problems }
}
