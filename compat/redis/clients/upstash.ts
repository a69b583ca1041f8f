/** The client of Upstash, with the data in this process: the real library, its requests answered here instead of over
 *  HTTP. Everything it exports is exported too.
 *
 *  1. Where the data is: the options `dotdo` or `fabric`, or a `dotdo:` URL, say so; else a `url` means the network
 *     and is never ignored; else the folder is DOTDO_DATA or `.dotdo`.
 *  2. A request is answered by the code that answers /redis over HTTP, so the two cannot differ.
 *  3. The folder is opened by the first command and stays open until `close`, or the end of the process. */
import { textToBin } from '@dotdo/core/bytes'
import { StopSwitch } from '@dotdo/core/cdc'
import { Failure } from '@dotdo/core/errors'
import { readVariable } from '@dotdo/core/host/node'
import {
  errors,
  Redis as RealRedis,
  type RedisConfigNodejs,
  type Requester,
  type UpstashRequest,
  type UpstashResponse,
} from '@upstash/redis'
import { answerRest } from '../rest.ts'
import { type DotdoOptions, isLocal, isUrl, type Lease, lease, type Place, placeOf, readUrl } from './place.ts'

export * from '@upstash/redis'
export type { DataOptions, DotdoOptions } from './place.ts'

/** The options of the real client, none of which must be given, and where the data is. */
export type RedisConfig = Partial<RedisConfigNodejs> & DotdoOptions

/** Answers requests in this process. */
interface LocalRequester extends Requester {
  /** End subscriptions, finish what is under way and let the folder go; a later request opens it again. */
  close(): Promise<void>
}

async function readEvents(body: ReadableStream<Uint8Array>, onMessage: (data: string) => void): Promise<void> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true })
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('data: ')) onMessage(line.slice('data: '.length))
  }
}

async function answer(leased: Lease, place: Place, request: UpstashRequest, stop: StopSwitch): Promise<unknown> {
  const { path = [], body, onMessage = () => undefined, signal } = request
  const asked = { path: path.map(textToBin), body: new TextEncoder().encode(JSON.stringify(body)) }
  const { database } = place
  const told = await answerRest(leased.server, asked, { address: '127.0.0.1:0', database, gone: signal, stop })
  if (told.body instanceof ReadableStream) {
    // It ends with the subscription; whoever subscribed hears of nothing but messages.
    void readEvents(told.body, onMessage).catch(leased.server.onBug)
    return { result: 1 }
  }
  const answered = JSON.parse(told.body as string) as UpstashResponse<unknown>
  if (told.status !== 200) {
    throw new errors.UpstashError(`${answered.error}, command was: ${JSON.stringify(body)}`)
  }
  return answered
}

function requesterOf(place: Place): LocalRequester {
  let opening: Promise<Lease> | undefined
  let stop = new StopSwitch()
  const running = new Set<Promise<unknown>>()
  const open = (): Promise<Lease> => {
    opening ??= lease(place).catch((error) => {
      opening = undefined
      throw error
    })
    return opening
  }
  return {
    async request<T>(request: UpstashRequest) {
      const asked = open().then((leased) => answer(leased, place, request, stop))
      running.add(asked)
      return asked.finally(() => running.delete(asked)) as Promise<UpstashResponse<T>>
    },
    async close() {
      const leased = opening
      opening = undefined
      stop.abort()
      stop = new StopSwitch()
      await Promise.allSettled(running)
      if (leased !== undefined) await (await leased).release()
    },
  }
}

/** Find the place that options name; undefined when it is behind an address.
 *  @throws invalid when they name an address as well, or half of one */
function findPlace(config: RedisConfig): Place | undefined {
  const { url, token } = config
  if (isUrl(url)) {
    const { dotdo, database, ...unknown } = readUrl(url)
    const [name] = Object.keys(unknown)
    if (name !== undefined) throw new Failure('invalid', `${url} names ${name}, which a dotdo: URL has not here`)
    if (isLocal(config)) throw new Failure('invalid', 'both a dotdo: URL and a place in this process are given')
    return placeOf({ dotdo, database: config.database ?? database })
  }
  if (url !== undefined || token !== undefined) {
    if (isLocal(config)) throw new Failure('invalid', 'both an address and a place in this process are given')
    if (url === undefined) throw new Failure('invalid', 'a token is given, but no url that it is for')
    if (config.database === undefined) return undefined
    throw new Failure('invalid', 'the option database goes with data in this process; over a network, the url names it')
  }
  return placeOf(config)
}

/** The client of Upstash, with all of its methods, over data in this process unless a URL is given. */
export class Redis extends RealRedis {
  /** End subscriptions, finish what is under way and let the data folder go; a later command opens it again. Over a
   *  network there is nothing to close. */
  declare close: () => Promise<void>

  /** @param config where the data is, and the options of the real client; or a requester of your own */
  constructor(config: RedisConfig | Requester = {}) {
    const isRequester = 'request' in config
    const place = isRequester ? undefined : findPlace(config)
    if (isRequester || place === undefined) {
      super(config as RedisConfigNodejs)
      this.close = async () => undefined
      // biome-ignore lint/correctness/noConstructorReturn: the real constructor answers a proxy, which super() is
      return this
    }
    const requester = requesterOf(place)
    super(requester)
    this.close = () => requester.close()
    const { automaticDeserialization, latencyLogging, enableAutoPipelining = true } = config
    // With a requester of its own the real constructor takes no options, so they are set as it would have set them.
    this.opts = {
      ...(automaticDeserialization !== undefined && { automaticDeserialization }),
      ...(latencyLogging !== undefined && { latencyLogging }),
    }
    this.enableAutoPipelining = enableAutoPipelining
    // biome-ignore lint/correctness/noConstructorReturn: as the real constructor does
    if (enableAutoPipelining) return this.autoPipeline() as unknown as this
  }

  /** Make a client of UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN (or KV_REST_API_URL and KV_REST_API_TOKEN);
   *  where they are not set, of the data in this process. */
  static override fromEnv(config: Omit<RedisConfig, 'url' | 'token'> = {}): Redis {
    const url = readVariable('UPSTASH_REDIS_REST_URL') ?? readVariable('KV_REST_API_URL')
    const token = readVariable('UPSTASH_REDIS_REST_TOKEN') ?? readVariable('KV_REST_API_TOKEN')
    return new Redis({ ...config, ...(url !== undefined && { url }), ...(token !== undefined && { token }) })
  }

  /** Close, at the end of a block that began with `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
