/** Administration that depends on time, on the host or on what went before. */
import { expect, test } from 'vitest'
import { openTestServer } from './test-server.ts'

/** Open a server, do something with it, close it; nothing may have been a bug. */
async function withServer(
  options: Parameters<typeof openTestServer>[0],
  work: (server: Awaited<ReturnType<typeof openTestServer>>) => Promise<void>,
) {
  const server = await openTestServer(options)
  try {
    await work(server)
    expect(server.bugs).toEqual([])
  } finally {
    await server.close()
  }
}

test('the slow log has what took long, with its time and client, without secrets', async () => {
  await withServer({}, async (server) => {
    const client = server.connect()
    await client.ask('HELLO 3', 'CLIENT SETNAME me')
    const sleeping = client.run('DEBUG', 'SLEEP', '0.01')
    server.nowMs += 20
    expect(await sleeping).toEqual({ simple: 'OK' })
    expect(await client.run('SLOWLOG', 'GET')).toEqual([
      [0, 1_800_000_000, 20_000, ['DEBUG', 'SLEEP', '0.01'], client.session.state.address, 'me'],
    ])
    await client.ask('CONFIG SET slowlog-log-slower-than 0', 'SLOWLOG RESET')
    await client.ask('AUTH default secret1', 'HELLO 3 AUTH default secret2 SETNAME n', 'ACL SETUSER x >secret3')
    await client.run('ECHO', 'x'.repeat(200))
    await client.run('DEL', ...Array.from({ length: 40 }, (_, i) => `${i}`))
    const shown = JSON.stringify(await client.run('SLOWLOG', 'GET'))
    expect(shown).not.toContain('secret')
    expect(shown).toContain('["HELLO","3","AUTH","(redacted)","(redacted)","SETNAME","n"]')
    expect(shown).toContain(`"${'x'.repeat(128)}... (72 more bytes)"`)
    expect(shown).toContain('"29","... (10 more arguments)"]')
    await client.ask('CONFIG SET slowlog-log-slower-than -1', 'SLOWLOG RESET', 'PING')
    expect(await client.run('SLOWLOG', 'LEN')).toBe(0)
  })
})

test('latency events are noted past the threshold, and histograms count every command', async () => {
  await withServer({}, async (server) => {
    const client = server.connect()
    await client.ask('HELLO 3')
    const sleep = async (byMs: number) => {
      const sleeping = client.run('DEBUG', 'SLEEP', '0.002')
      server.nowMs += byMs
      await sleeping
    }
    expect(await client.run('LATENCY', 'DOCTOR')).toContain('disabled')
    await sleep(300)
    await client.ask('CONFIG SET latency-monitor-threshold 100')
    expect(await client.run('LATENCY', 'DOCTOR')).toBe('No latency spike was observed.\n')
    await sleep(50)
    await sleep(200)
    server.nowMs += 10_000
    await sleep(150)
    const at = Math.floor(server.nowMs / 1000)
    expect(await client.run('LATENCY', 'LATEST')).toEqual([['command', at, 150, 200]])
    expect(await client.run('LATENCY', 'HISTORY', 'command')).toEqual([
      [at - 10, 200],
      [at, 150],
    ])
    expect(await client.run('LATENCY', 'GRAPH', 'command')).toContain('high 200 ms, low 150 ms')
    expect(await client.run('LATENCY', 'DOCTOR')).toContain(
      '1. command: 2 latency spikes (average 175ms). Worst 200ms.',
    )
    const debug = {
      map: [
        ['calls', 4],
        [
          'histogram_usec',
          {
            map: [
              [64_000, 1],
              [256_000, 3],
              [512_000, 4],
            ],
          },
        ],
      ],
    }
    expect(await client.run('LATENCY', 'HISTOGRAM', 'debug')).toEqual({ map: [['debug', debug]] })
    expect(await client.run('INFO', 'commandstats')).toContain(
      'cmdstat_debug:calls=4,usec=700000,usec_per_call=175000.00',
    )
    expect(await client.run('LATENCY', 'RESET')).toBe(1)
    await client.ask('CONFIG RESETSTAT')
    expect(await client.run('LATENCY', 'HISTOGRAM', 'debug')).toEqual({ map: [] })
  })
})

test('under durability full what was acknowledged is saved, and WAITAOF says so', async () => {
  const info = { version: '0', runId: 'a'.repeat(40), durability: 'full', startedMs: 0 } as const
  await withServer({ info }, async (server) => {
    const client = server.connect()
    expect(await client.ask('SAVE', 'WAITAOF 1 0 0', 'LASTSAVE')).toBe('+OK\r\n*2\r\n:1\r\n:0\r\n:1800000000\r\n')
    expect(await client.ask('CONFIG GET appendfsync')).toContain('always')
  })
})

test('what needs one shard is refused on several, and the rest is gathered', async () => {
  await withServer({ shards: 4 }, async (server) => {
    const client = server.connect()
    await client.ask('HELLO 3', 'MSET a 1 b 2 c 3')
    expect(await client.ask('SWAPDB 0 1')).toMatch(/^-CROSSSLOT /)
    expect(await client.run('CLUSTER', 'COUNTKEYSINSLOT', '15495')).toBe(1)
    expect(await client.run('CLUSTER', 'GETKEYSINSLOT', '15495', '5')).toEqual(['a'])
    for (const key of ['a', 'b', 'c']) expect(await client.run('MEMORY', 'USAGE', key)).toBeGreaterThan(10)
  })
})
