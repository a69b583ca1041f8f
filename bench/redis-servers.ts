/** The servers that benches of the Redis protocol compare, each a process of its own. */
import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { startServer } from '../test/crash/server.ts'

/** A server under test. */
export interface Target {
  readonly port: number
  stop(): Promise<void>
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Start redis-server on a port of its own, with an append-only file in `folder`. */
export async function startRedis(folder: string, appendfsync: 'everysec' | 'always'): Promise<Target> {
  const port = await freePort()
  const settings = { port, bind: '127.0.0.1', dir: folder, appendonly: 'yes', appendfsync, save: '' }
  const flags = Object.entries(settings).flatMap(([flag, value]) => [`--${flag}`, String(value)])
  const child = spawn('redis-server', flags, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`redis-server ended with ${code}`)))
    child.stdout.on('data', (chunk: Buffer) => chunk.includes('Ready to accept connections') && resolve())
  })
  return {
    port,
    async stop() {
      child.kill()
      await ended
    },
  }
}

/** Start the built `dotdo serve`, with its data in `folder`. */
export async function startDotdo(folder: string, durability: 'full' | 'normal'): Promise<Target> {
  const server = await startServer({ data: join(folder, 'dotdo'), durability, http: false })
  return { port: server.redisPort, stop: () => server.stop() }
}
