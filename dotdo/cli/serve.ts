/** `dotdo serve`: read the settings, start the server, say where it listens, stop it on a signal. */
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { resolve } from 'node:path'
import { Failure } from '@dotdo/core/errors'
import { SHUTDOWN_MS_MAX } from '@dotdo/core/limits'
import { type Command, Option } from 'commander'
import type { Logger } from 'pino'
import { dialects } from '../serve/dialects.ts'
import { lakePlaceOf } from '../serve/lake.ts'
import { createLog } from '../serve/log.ts'
import { removeReadyFile } from '../serve/ready-file.ts'
import { type RunningServer, startServer } from '../serve/serve.ts'
import { envSource, fileSource, flagSource, type Settings, type Source, settings, settle } from '../serve/settings.ts'
import type { CliHost } from './index.ts'

const configEnv = 'DOTDO_CONFIG'

const help = `
Each setting is taken from its flag, else from its environment variable, else from the
configuration file, else from its default. The file is a JSON object:

  { "data": "/var/lib/dotdo", "redis": 6379, "http": 6480, "shards": 4, "durability": "full",
    "lake": "s3://bucket/lake", "stores": { "archive": { "location": "s3://bucket/old" } } }
`

/** Add the command. */
export function addServe(program: Command, host: CliHost): void {
  const command = program.command('serve').description('Serve Redis, SQL and HTTP from a folder.')
  for (const { flag, env, help, fallback } of settings) {
    const rest = fallback === undefined ? `(env ${env})` : `(env ${env}, default ${fallback})`
    command.addOption(new Option(flag, `${help} ${rest}`))
  }
  command.addOption(new Option('--config <file>', `configuration file (env ${configEnv})`))
  command.addHelpText('after', help)
  command.action(async (options: Record<string, unknown>) => {
    host.exit(await serve(readSettings(options), host))
  })
}

function readSettings({ config, ...flags }: Record<string, unknown>): Settings {
  const sources: Source[] = [flagSource(flags), envSource(process.env)]
  const path = (config as string | undefined) ?? (process.env[configEnv] || undefined)
  if (path !== undefined) sources.push(fileSource(path, readConfig(path)))
  return settle(sources)
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Failure('invalid', `cannot read the configuration file: ${(error as Error).message}`)
  }
}

async function serve(settled: Settings, { version, threadEntry }: CliHost): Promise<number> {
  const pretty = process.stdout.isTTY && !settled.json
  const log = createLog({ level: settled.logLevel, pretty })
  process.on('uncaughtException', (error) => {
    // What state it leaves is unknown; what was acknowledged is on disk.
    log.fatal({ err: error }, 'a bug of dotdo; the server ends')
    process.exit(1)
  })
  log.debug({ version, pid: process.pid, node: process.version }, 'starting')
  // From before the ready file is there: whoever waits for that may send a signal at once.
  const signalled = nextSignal()
  const server = await startServer(settled, { version, log, threadEntry })
  // However the process ends, kill -9 apart: nobody shall take it for one that listens.
  const { readyFile } = settled
  if (readyFile !== undefined) process.on('exit', () => removeReadyFile(readyFile))
  announce(server, settled, { log, pretty, version })
  const signal = await Promise.race([signalled, server.asked])
  log.info({ signal }, 'stopping')
  void nextSignal().then((second) => process.exit(128 + constants.signals[second]))
  const late = setTimeout(() => {
    log.error({ afterMs: SHUTDOWN_MS_MAX }, 'could not stop in time; the server ends')
    process.exit(1)
  }, SHUTDOWN_MS_MAX)
  await server.close()
  clearTimeout(late)
  log.info('stopped')
  return 0
}

function nextSignal(): Promise<'SIGTERM' | 'SIGINT'> {
  return new Promise((resolve) => {
    const stop = (signal: 'SIGTERM' | 'SIGINT') => {
      process.off('SIGTERM', stop)
      process.off('SIGINT', stop)
      resolve(signal)
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  })
}

interface Announcement {
  log: Logger
  pretty: boolean
  version: string
}

/** Say that everything listens, and where. */
function announce({ ready, ports }: RunningServer, settled: Settings, { log, pretty, version }: Announcement): void {
  const { host, shards, threads, durability } = settled
  const data = resolve(settled.data)
  const lake = lakePlaceOf(settled)?.location ?? 'off'
  if (!pretty) {
    const { pid, ...listeners } = ready
    log.info({ version, pid, host, ...listeners, data, durability, shards, threads, lake }, 'listening')
    return
  }
  const lines = dialects.flatMap(({ name, title, example }) => {
    const port = ports.get(name)
    return port === undefined ? [] : [`  ${title.padEnd(8)} ${example(host, port)}`]
  })
  const http = ports.get('http')
  if (http !== undefined) lines.push(`  HTTP     http://${host.includes(':') ? `[${host}]` : host}:${http}`)
  lines.push(`  data     ${data} (durability ${durability}, shards ${shards}, threads ${threads})`)
  lines.push(`  lake     ${lake}`)
  process.stdout.write(`dotdo ${version} is ready\n${lines.join('\n')}\nCtrl-C stops it.\n`)
}
