/** What `dotdo serve` can be told, as a table, and how it is read: flags before environment before the configuration
 *  file before defaults. Pure: files and the environment are handed in. */
import { Failure } from '@dotdo/core/errors'
import { SHARD_COUNT_MAX, SHARD_THREADS_MAX } from '@dotdo/core/limits'
import { z } from 'zod'
import { type Dialect, dialects } from './dialects.ts'
import { oneOf, port, type Setting, text, whole } from './settings-kinds.ts'
import { type LakeSettings, lakeSettings, refuseUselessLake } from './settings-lake.ts'

export type { Setting } from './settings-kinds.ts'

/** `full`: what was acknowledged survives power loss. `normal`: it survives the process's death. */
export type Durability = 'full' | 'normal'
/** A TCP port; 0 is any that is free, `off` is none at all. */
export type Port = number | 'off'

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
/** The least that is logged. */
export type LogLevel = (typeof logLevels)[number]

/** Everything a server is told. */
export interface Settings extends LakeSettings {
  readonly data: string
  readonly host: string
  readonly http: Port
  /** By dialect. */
  readonly ports: Readonly<Record<string, Port>>
  readonly shards: number
  readonly threads: number
  readonly durability: Durability
  readonly password?: string
  readonly readyFile?: string
  readonly logLevel: LogLevel
  readonly json: boolean
}

function dialectSetting({ name, title, portDefault }: Dialect): Setting {
  return {
    name,
    flag: `--${name} <port>`,
    env: `DOTDO_${name.toUpperCase()}_PORT`,
    help: `port of ${title}; 0 for any free one, off for none`,
    fallback: portDefault,
    ...port,
  }
}

/** Every setting, in the order of the help. */
export const settings: readonly Setting[] = [
  {
    name: 'data',
    flag: '--data <folder>',
    env: 'DOTDO_DATA',
    help: 'where the data is kept',
    fallback: './.dotdo',
    ...text,
  },
  ...dialects.map(dialectSetting),
  {
    name: 'http',
    flag: '--http <port>',
    env: 'DOTDO_HTTP_PORT',
    help: 'port of HTTP (SQL, Iceberg, databases, changes, health, metrics); 0 for any free one, off for none',
    fallback: 6480,
    ...port,
  },
  {
    name: 'host',
    flag: '--host <address>',
    env: 'DOTDO_HOST',
    help: 'address to listen on; others than loopback need a password',
    fallback: '127.0.0.1',
    ...text,
  },
  {
    name: 'password',
    flag: '--password <text>',
    env: 'DOTDO_PASSWORD',
    help: "password of the user `default`; better in the environment than here, where others' ps shows it",
    secret: true,
    ...text,
  },
  {
    name: 'shards',
    flag: '--shards <count>',
    env: 'DOTDO_SHARDS',
    help: 'shards of a database that is first met in use',
    fallback: 1,
    ...whole(1, SHARD_COUNT_MAX),
  },
  {
    name: 'threads',
    flag: '--threads <count>',
    env: 'DOTDO_THREADS',
    help: 'worker threads to spread shards over; 0 keeps them on the main thread',
    fallback: 0,
    ...whole(0, SHARD_THREADS_MAX),
  },
  {
    name: 'durability',
    flag: '--durability <level>',
    env: 'DOTDO_DURABILITY',
    help: 'full: acknowledged writes survive power loss; normal: they survive the death of the process',
    fallback: 'full',
    ...oneOf(['full', 'normal']),
  },
  ...lakeSettings,
  {
    name: 'readyFile',
    flag: '--ready-file <path>',
    env: 'DOTDO_READY_FILE',
    help: 'file to write, as JSON, when everything listens',
    ...text,
  },
  {
    name: 'logLevel',
    flag: '--log-level <level>',
    env: 'DOTDO_LOG_LEVEL',
    help: `the least that is logged: ${logLevels.join(', ')}`,
    fallback: 'info',
    ...oneOf(logLevels),
  },
  {
    name: 'json',
    flag: '--json',
    env: 'DOTDO_JSON',
    help: 'log JSON lines on a terminal too',
    fallback: false,
    schema: z.boolean(),
    wants: 'true or false',
  },
]

/** Values from one place, and what that place calls a setting. */
export interface Source {
  /** By name of the setting. */
  readonly values: Readonly<Record<string, unknown>>
  label(setting: Setting): string
}

/** Read text, as flags and environment have it, as the number or truth value that it spells. */
function fromText(value: unknown): unknown {
  if (typeof value !== 'string') return value
  if (/^\d{1,15}$/.test(value)) return Number(value)
  return value === 'true' ? true : value === 'false' ? false : value
}

/** Whether a setting is text as it stands: the password 1234 is no number. */
const isText = ({ schema }: Setting) => schema === text.schema

function check(setting: Setting, value: unknown, label: string): unknown {
  const { data, success } = setting.schema.safeParse(value)
  if (success) return data
  const shown = setting.secret ? 'its value' : JSON.stringify(value)
  throw new Failure('invalid', `${label}: ${shown} is not ${setting.wants}`)
}

/** Take values from flags, as the parser of arguments gives them. */
export function flagSource(values: Readonly<Record<string, unknown>>): Source {
  return { values: spelled(values), label: ({ flag }) => flag.split(' ')[0] as string }
}

/** Take values from the environment. An empty variable counts as unset. */
export function envSource(environment: Readonly<Record<string, string | undefined>>): Source {
  const values: Record<string, unknown> = {}
  for (const { name, env } of settings) if (environment[env]) values[name] = environment[env]
  return { values: spelled(values), label: ({ env }) => env }
}

function spelled(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const setting of settings) {
    const value = values[setting.name]
    if (value !== undefined) found[setting.name] = isText(setting) ? value : fromText(value)
  }
  return found
}

/** Take values from a configuration file.
 *  @param contents JSON: an object with the names of settings
 *  @throws invalid when it is no JSON object, or names something that is no setting */
export function fileSource(path: string, contents: string): Source {
  let parsed: unknown
  try {
    parsed = JSON.parse(contents)
  } catch (error) {
    throw new Failure('invalid', `${path} is not JSON: ${(error as Error).message}`)
  }
  const shape = z.strictObject(Object.fromEntries(settings.map(({ name }) => [name, z.unknown().optional()])))
  const { data, error } = shape.safeParse(parsed)
  if (error === undefined) return { values: data, label: ({ name }) => `${path}: ${name}` }
  const known = settings.map(({ name }) => name).join(', ')
  const unknown = error.issues.flatMap((issue) => (issue.code === 'unrecognized_keys' ? issue.keys : []))
  if (unknown.length === 0) throw new Failure('invalid', `${path} is not a JSON object of settings (${known})`)
  throw new Failure('invalid', `${path}: no such setting: ${unknown.join(', ')}; there are ${known}`)
}

/** Settle every setting.
 *  @param sources the first that has a value wins; the values of all are checked
 *  @throws invalid, naming where the value stands, what it is and what would be right */
export function settle(sources: readonly Source[]): Settings {
  const settled: Record<string, unknown> = {}
  for (const setting of settings) {
    const { name, fallback } = setting
    for (const { values, label } of sources) {
      if (values[name] === undefined) continue
      const value = check(setting, values[name], label(setting))
      settled[name] ??= value
    }
    settled[name] ??= fallback
    if (settled[name] === undefined) delete settled[name]
  }
  const ports = Object.fromEntries(dialects.map(({ name }) => [name, settled[name] as Port]))
  for (const { name } of dialects) delete settled[name]
  const result = { ...settled, ports } as unknown as Settings
  refuseUseless(result)
  return result
}

/** Refuse combinations that cannot be meant. */
function refuseUseless(settled: Settings): void {
  const { host, password, http, ports } = settled
  refuseUselessLake(settled)
  if (!isLoopback(host) && password === undefined) {
    const why = `${host} can be reached from other machines, and there is no password`
    throw new Failure('invalid', `--host: ${why}; set DOTDO_PASSWORD, or listen on 127.0.0.1`)
  }
  if ([http, ...Object.values(ports)].every((port) => port === 'off')) {
    throw new Failure('invalid', 'every port is off: nothing would be served')
  }
}

/** Whether an address can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1)$/i.test(host)
}
