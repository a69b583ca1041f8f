import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openTestServer, type TestServer } from './test-server.ts'
import { type Transcript, transcripts } from './transcripts/session.ts'

/** A line `...` stands for the rest of HELLO's map, which names versions and ids. */
function withoutHello(reply: string): string {
  return reply.replace(/%7\r\n\$6\r\nserver[\s\S]*?modules\r\n\*0\r\n/g, '%7\r\n...\r\n')
}

const wanted = ({ reply }: Transcript) => reply.map((line) => `${line}\r\n`).join('')

describe('this server', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await openTestServer()
  })
  afterAll(async () => {
    expect(server.bugs).toEqual([])
    await server.close()
  })

  test.each(transcripts)('$name', async (transcript) => {
    const together = await server.connect().ask(...transcript.send)
    expect(withoutHello(together)).toBe(wanted(transcript))
  })

  test.each(transcripts)('$name (line by line)', async (transcript) => {
    const client = server.connect()
    let received = ''
    for (const line of transcript.send) received += await client.ask(line)
    expect(withoutHello(received)).toBe(wanted(transcript))
  })
})

const installed = spawnSync('redis-server', ['--version']).status === 0

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Send lines and read until the connection closes or an ECHO after them is answered. */
async function askReal(port: number, lines: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  const mark = '$16\r\nend-of-exchange.\r\n'
  let received = ''
  socket.write(`${lines.join('\r\n')}\r\nECHO end-of-exchange.\r\n`)
  for await (const chunk of socket) {
    received += (chunk as Buffer).toString('latin1')
    if (received.endsWith(mark)) break
  }
  socket.destroy()
  return received.replace(mark, '')
}

// Where no redis-server is installed the first half still holds this server to the transcripts.
describe.skipIf(!installed)('the real server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'real-redis-'))
  let port: number
  let real: ReturnType<typeof spawn>
  beforeAll(async () => {
    port = await freePort()
    real = spawn('redis-server', ['--port', `${port}`, '--save', '', '--dir', folder, '--bind', '127.0.0.1'])
    for await (const line of real.stdout as AsyncIterable<Buffer>) if (`${line}`.includes('Ready to accept')) break
  })
  afterAll(async () => {
    real.kill('SIGKILL')
    rmSync(folder, { recursive: true })
  })

  test.each(transcripts.filter(({ differs }) => differs === undefined))('$name', async (transcript) => {
    expect(withoutHello(await askReal(port, transcript.send))).toBe(wanted(transcript))
  })
})
