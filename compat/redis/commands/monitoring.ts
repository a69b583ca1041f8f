/** SLOWLOG and LATENCY: how long commands took, as measured.ts counts it.
 *  @source slowlog.c and latency.c of Redis 7.2, for the shape of replies */
import type { Bin } from '@dotdo/core/bytes'
import { Failure } from '@dotdo/core/errors'
import { parseInt64 } from '../engine/integers.ts'
import type { Histogram, LatencySample } from '../measured.ts'
import type { Row, Session } from '../session.ts'
import { OK, type Value } from '../value.ts'

const seconds = (timeMs: number): number => Math.floor(timeMs / 1000)

function slowGet({ server }: Session, argv: readonly Bin[]): Value {
  if (argv.length > 3) {
    throw new Failure('invalid', "ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.")
  }
  const count = argv[2] === undefined ? 10 : Number(parseInt64(argv[2]) ?? -2)
  if (count < -1) throw new Failure('invalid', 'ERR count should be greater than or equal to -1')
  const { slow } = server.measured
  return slow.slice(0, count === -1 ? slow.length : count).map((entry): Value => {
    const { id, atMs, durationMs, argv: shown, address, name } = entry
    return [id, seconds(atMs), durationMs * 1000, [...shown], address, name]
  })
}

function slowReset({ server }: Session): Value {
  server.measured.slow = []
  return OK
}

function latest({ server }: Session): Value {
  return [...server.measured.events].map(([event, samples]): Value => {
    const { second, durationMs } = samples.at(-1) as LatencySample
    return [event, second, durationMs, Math.max(...samples.map((sample) => sample.durationMs))]
  })
}

function history({ server }: Session, [, , event = '']: readonly Bin[]): Value {
  return (server.measured.events.get(event) ?? []).map(({ second, durationMs }): Value => [second, durationMs])
}

function reset({ server }: Session, [, , ...named]: readonly Bin[]): Value {
  const { events } = server.measured
  const names = named.length === 0 ? [...events.keys()] : named
  return names.filter((name) => events.delete(name)).length
}

const levels = '_.-~=#'

/** One column for each sample, the latest last, scaled between the least and the most. */
function graph({ server }: Session, [, , event = '']: readonly Bin[]): Value {
  const samples = server.measured.events.get(event)
  if (samples === undefined) throw new Failure('invalid', `ERR No samples available for event '${event}'`)
  const shown = samples.slice(-80).map(({ durationMs }) => durationMs)
  const low = Math.min(...shown)
  const high = Math.max(...shown)
  const level = (value: number) => (high === low ? 0 : Math.round(((value - low) / (high - low)) * (levels.length - 1)))
  const line = shown.map((value) => levels.charAt(level(value))).join('')
  return { verbatim: `${event} - high ${high} ms, low ${low} ms (all time high ${high} ms)\n${line}\n`, format: 'txt' }
}

function doctor({ server }: Session): Value {
  const say = (text: string): Value => ({ verbatim: `${text}\n`, format: 'txt' })
  if (server.config.number('latency-monitor-threshold') === 0) {
    return say('Latency monitoring is disabled. Use CONFIG SET latency-monitor-threshold <milliseconds> to enable it.')
  }
  const { events } = server.measured
  if (events.size === 0) return say('No latency spike was observed.')
  const lines = [...events].map(([event, samples], i) => {
    const durations = samples.map(({ durationMs }) => durationMs)
    const mean = durations.reduce((sum, each) => sum + each, 0) / durations.length
    const worst = Math.max(...durations)
    return `${i + 1}. ${event}: ${samples.length} latency spikes (average ${Math.round(mean)}ms). Worst ${worst}ms.`
  })
  return say(['Latency spikes were observed:', ...lines].join('\n'))
}

/** Counts add up, as Redis has it: how many took at most so many microseconds. The least that is told apart is 1 ms. */
function cumulative({ calls, counts }: Histogram): Value {
  const buckets: [Value, Value][] = []
  let total = 0
  for (const [power, count = 0] of counts.entries()) {
    total += count
    if (count > 0) buckets.push([2 ** power * 1000, total])
  }
  return {
    map: [
      ['calls', calls],
      ['histogram_usec', { map: buckets }],
    ],
  }
}

function histogram({ server }: Session, [, , ...named]: readonly Bin[]): Value {
  const { histograms } = server.measured
  const below = (name: string) => server.commands.subcommands(name).map((row) => row.name)
  const names =
    named.length === 0
      ? [...histograms.keys()]
      : named.map((name) => name.toLowerCase()).flatMap((n) => [n, ...below(n)])
  return {
    map: names.flatMap((name): [Value, Value][] => {
      const found = histograms.get(name)
      return found === undefined ? [] : [[name, cumulative(found)]]
    }),
  }
}

const row = { mode: 'session', group: 'server', since: '2.8.13' } as const
const slowlog = { ...row, since: '2.2.12' }

/** SLOWLOG, LATENCY and their subcommands. */
export const monitoringCommands: readonly Row[] = [
  { ...row, name: 'latency', arity: -2, summary: 'A container for latency diagnostics commands.' },
  { ...row, name: 'latency|doctor', arity: 2, summary: 'Returns what is to be said of latency.', session: doctor },
  { ...row, name: 'latency|graph', arity: 3, summary: 'Draws the samples of an event.', session: graph },
  {
    ...row,
    name: 'latency|histogram',
    arity: -2,
    since: '7.0.0',
    summary: 'Returns how often commands took how long, to the millisecond.',
    session: histogram,
  },
  { ...row, name: 'latency|history', arity: 3, summary: 'Returns the samples of an event.', session: history },
  { ...row, name: 'latency|latest', arity: 2, summary: 'Returns the latest sample of each event.', session: latest },
  { ...row, name: 'latency|reset', arity: -2, summary: 'Forgets events.', session: reset },
  { ...slowlog, name: 'slowlog', arity: -2, summary: 'A container for slow log commands.' },
  { ...slowlog, name: 'slowlog|get', arity: -2, summary: 'Returns the slowest commands of late.', session: slowGet },
  {
    ...slowlog,
    name: 'slowlog|len',
    arity: 2,
    summary: 'Returns how many entries the slow log has.',
    session: ({ server }) => server.measured.slow.length,
  },
  { ...slowlog, name: 'slowlog|reset', arity: 2, summary: 'Empties the slow log.', session: slowReset },
]
